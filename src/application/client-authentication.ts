import { machineUser } from '../domain/aggregates.ts';
import type { Origin } from '../domain/event-metadata.ts';
import { secretIdOf } from '../domain/machine-secret.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import type { CommandHandler } from './command-handler.ts';
import type { IsStillValid } from './credential-check.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { VerifiedSecrets } from './verified-secrets.ts';

/** A machine user as the authentication of clients needs to know it. */
export interface ClientAccount {
  readonly userId: string;
  readonly organizationId: string;
  readonly userName: string;
  readonly accessTokenType: AccessTokenType;
  /** See `AccessTokenClaims`. */
  readonly tokenEpoch: number;
  readonly isActive: boolean;
}

/** A client that proved who it is, and by which of its secrets or keys. */
export interface AuthenticatedClient extends ClientAccount {
  readonly credential: { readonly kind: 'secret' | 'key'; readonly id: string };
}

/** The request that a client authenticates in. */
export interface AuthenticationRequest {
  readonly id: string;
  readonly origin: Origin;
}

export interface ClientDirectory {
  /** The machine user whose live secret has this id, and the hash of that secret. */
  clientBySecretId(
    secretId: string,
  ): { readonly account: ClientAccount; readonly hashedSecret: string } | undefined;
}

/** A secret with the id of a live secret of this very client, and a right checksum. Only its hash tells whether it is that one. */
export interface RecognizedSecret {
  readonly client: AuthenticatedClient;
  readonly hashedSecret: string;
  /** This process has compared it with that hash before. */
  readonly isVerified: boolean;
}

export interface ClientAuthenticatorOptions {
  readonly directory: ClientDirectory;
  readonly hasher: SecretHasher;
  readonly commands: CommandHandler;
  readonly isStillValid: IsStillValid;
  /** Told of a rehash that failed. The authentication has succeeded all the same. */
  readonly onRehashFailure: (error: unknown) => void;
}

/** Tells whether a client id and a client secret belong together and may be used now. */
export class ClientAuthenticator {
  readonly #options: ClientAuthenticatorOptions;
  readonly #verified = new VerifiedSecrets();

  constructor(options: ClientAuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * The client, or undefined for every reason there is to refuse: callers cannot tell one from another.
   *
   * A secret reaches the hash function only when its checksum is right and its id is that of a live secret of
   * this very client.
   *
   * @param request goes into the metadata of an event that this causes
   */
  async authenticate(
    loginName: string,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    const recognized = this.recognize(loginName, secret);
    return recognized && this.confirm(recognized, secret, request);
  }

  /** What is known of the secret before anything is hashed. May be asked any number of times. */
  recognize(loginName: string, secret: string): RecognizedSecret | undefined {
    const secretId = secretIdOf(secret);
    if (secretId === undefined) return undefined;
    // By secret id alone: an unknown client and a wrong secret take one and the same way.
    const stored = this.#options.directory.clientBySecretId(secretId);
    if (stored === undefined) return undefined;
    const { account, hashedSecret } = stored;
    const isNamed = normalizeUserName(account.userName) === normalizeUserName(loginName);
    if (!account.isActive || !isNamed) return undefined;
    return {
      client: { ...account, credential: { kind: 'secret', id: secretId } },
      hashedSecret,
      isVerified: this.#verified.isVerified(secretId, secret, hashedSecret),
    };
  }

  /** The client, if the secret is the one that it was recognized as, and still counts. */
  async confirm(
    { client, hashedSecret, isVerified }: RecognizedSecret,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    if (!isVerified && !(await this.#options.hasher.verify(secret, hashedSecret))) return undefined;
    if (!(await this.#options.isStillValid(client))) return undefined;
    if (isVerified) return client;
    this.#verified.remember(client.credential.id, secret, hashedSecret);
    if (this.#options.hasher.isOutdated(hashedSecret)) {
      this.#rehash(client, secret, hashedSecret, request);
    }
    return client;
  }

  /** Not waited for: the answer does not depend on it. */
  #rehash(
    { userId, organizationId, credential: { id: secretId } }: AuthenticatedClient,
    secret: string,
    outdatedHash: string,
    { id, origin }: AuthenticationRequest,
  ): void {
    const { hasher, commands, onRehashFailure } = this.#options;
    hasher
      .hash(secret)
      .then((hashedSecret) =>
        commands.execute(
          machineUser,
          userId,
          { type: 'RehashSecret', organizationId, secretId, outdatedHash, hashedSecret },
          { editor: { userId, organizationId }, origin, correlationId: id, causationId: id },
        ),
      )
      .catch(onRehashFailure);
  }
}
