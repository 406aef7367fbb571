import type { Logger } from 'pino';
import type { OAuthDependencies } from './api/oauth/dependencies.ts';
import { AccessTokens } from './application/access-tokens.ts';
import { AttemptLimits } from './application/attempt-limits.ts';
import { ClientAssertions } from './application/client-assertions.ts';
import { ClientAuthenticator } from './application/client-authentication.ts';
import type { Clock, CommandHandler } from './application/command-handler.ts';
import { type CredentialCheck, strictCheck } from './application/credential-check.ts';
import { DpopNonces } from './application/dpop-nonces.ts';
import { DpopProofs } from './application/dpop-proofs.ts';
import { GuardedAuthentication } from './application/guarded-authentication.ts';
import { IdTokens } from './application/id-tokens.ts';
import type { MasterKeys } from './application/master-keys.ts';
import { OpaqueAccessTokens } from './application/opaque-access-tokens.ts';
import type { SecretHasher } from './application/secret-hasher.ts';
import { SecretUseRecorder } from './application/secret-use-recorder.ts';
import { SigningKeyRing } from './application/signing-key-ring.ts';
import { SigningKeyRotation } from './application/signing-key-rotation.ts';
import type { SigningAlgorithm } from './domain/instance/signing-keys.ts';
import type { Queries } from './projections/projections.ts';

export interface AuthorizationServerConfig {
  /** Default: `read-model`. */
  readonly credentialCheck?: CredentialCheck | undefined;
  /** In seconds. Default: an hour. */
  readonly accessTokenLifetime?: number | undefined;
  /** In seconds. Default: an hour. */
  readonly idTokenLifetime?: number | undefined;
  /** Of keys made from now on. Default: ES256. */
  readonly signingAlgorithm?: SigningAlgorithm | undefined;
  /** In days: how long a signing key signs. Default: 90. */
  readonly signingKeyRotation?: number | undefined;
  /** Failed client authentications a minute before a client is refused from an address. Default: 10. */
  readonly failuresPerClient?: number | undefined;
  /** The same for all clients together. Default: 100. */
  readonly failuresPerSource?: number | undefined;
}

export interface AuthorizationServerOptions {
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly commands: CommandHandler;
  readonly directory: Queries;
  readonly masterKeys: MasterKeys;
  readonly hasher: SecretHasher;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The parts that make grants. */
export interface AuthorizationServer {
  readonly oauth: OAuthDependencies;
  readonly keyRing: SigningKeyRing;
  readonly rotation: SigningKeyRotation;
  readonly signingAlgorithm: SigningAlgorithm;
  /** Does what is due for the signing keys, now and from time to time. */
  start(): Promise<void>;
  /** Lets what is being recorded finish. */
  close(): Promise<void>;
}

/** In seconds. */
const defaultTokenLifetime = 3600;
/** In days. */
const defaultSigningKeyRotation = 90;
const defaultFailuresPerClient = 10;
const defaultFailuresPerSource = 100;
/** In milliseconds: how often it is looked whether a new signing key is due. */
const rotationCheckInterval = 60 * 60 * 1000;

export function createAuthorizationServer(
  config: AuthorizationServerConfig,
  options: AuthorizationServerOptions,
): AuthorizationServer {
  const { issuer, commands, directory, masterKeys, clock, logger } = options;
  const keyRing = new SigningKeyRing({ directory, masterKeys, clock });
  const signingAlgorithm = config.signingAlgorithm ?? 'ES256';
  const rotation = new SigningKeyRotation({
    commands,
    keyRing,
    masterKeys,
    algorithm: signingAlgorithm,
    interval: config.signingKeyRotation ?? defaultSigningKeyRotation,
  });
  const accessTokens = new AccessTokens({
    issuer,
    keyRing,
    clock,
    opaqueTokens: new OpaqueAccessTokens(masterKeys),
    directory,
    commands,
    lifetime: config.accessTokenLifetime ?? defaultTokenLifetime,
  });
  const idTokens = new IdTokens({
    issuer,
    keyRing,
    clock,
    lifetime: config.idTokenLifetime ?? defaultTokenLifetime,
  });
  const dpop = new DpopProofs({ issuer, nonces: new DpopNonces(masterKeys, clock), clock });
  const recorder = new SecretUseRecorder({
    commands,
    userIdByLoginName: (loginName) => directory.userIdByLoginName(loginName),
    onFailure: (error) => logger.warn({ err: error }, 'the use of a secret could not be recorded'),
  });
  const authentication = createAuthentication(config, options, recorder);
  let rotationCheck: NodeJS.Timeout | undefined;

  return {
    oauth: { issuer, authentication, accessTokens, dpop, idTokens, keyRing, directory },
    keyRing,
    rotation,
    signingAlgorithm,
    async start() {
      await rotation.reencrypt();
      await rotation.keepUp();
      rotationCheck = setInterval(() => {
        rotation
          .keepUp()
          .catch((error) => logger.error({ err: error }, 'a signing key could not be rotated'));
      }, rotationCheckInterval);
    },
    async close() {
      clearInterval(rotationCheck);
      await recorder.close();
      await keyRing.close();
    },
  };
}

function createAuthentication(
  config: AuthorizationServerConfig,
  { issuer, commands, directory, hasher, clock, logger }: AuthorizationServerOptions,
  recorder: SecretUseRecorder,
): GuardedAuthentication {
  const isStillValid = config.credentialCheck === 'strict' ? strictCheck(commands) : undefined;
  return new GuardedAuthentication({
    authenticator: new ClientAuthenticator({
      directory,
      hasher,
      commands,
      isStillValid,
      onRehashFailure: (error) => logger.warn({ err: error }, 'a secret could not be hashed anew'),
    }),
    assertions: new ClientAssertions({ issuer, directory, commands, clock, isStillValid }),
    limits: new AttemptLimits({
      failuresPerClient: config.failuresPerClient ?? defaultFailuresPerClient,
      failuresPerSource: config.failuresPerSource ?? defaultFailuresPerSource,
    }),
    recorder,
  });
}
