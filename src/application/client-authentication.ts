import { machineSecretUse, machineUser } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import type { Origin } from '../domain/event-metadata.ts';
import { secretIdOf } from '../domain/machine-secret.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { isLive, type SecretTimes } from '../domain/machine-user/secrets.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import type { CommandHandler } from './command-handler.ts';
import type { IsStillValid } from './credential-check.ts';
import { isInNetworks } from './network-binding.ts';
import { longestHashedSecret, longestImportedSecret, type SecretHasher } from './secret-hasher.ts';
import { weaknessOf } from './secret-strength.ts';
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
  readonly credential: {
    readonly kind: 'secret' | 'key';
    readonly id: string;
    /** The secret was replaced, and lives on for a while. */
    readonly isReplaced?: boolean;
  };
}

/** The request that a client authenticates in. */
export interface AuthenticationRequest {
  readonly id: string;
  readonly origin: Origin;
}

/** A secret as the read model has it. Times are RFC 3339. */
export interface StoredSecret extends SecretTimes {
  readonly secretId: string;
  readonly hashedSecret: string;
  /** It has not Keyturn's form. */
  readonly isImported: boolean;
  /** In CIDR notation. */
  readonly allowedNetworks: readonly string[] | undefined;
  readonly maxUses: number | undefined;
}

export interface StoredCredential {
  readonly account: ClientAccount;
  readonly secret: StoredSecret;
}

export interface ClientDirectory {
  /** The secret, unless an event has ended it, and whose it is. */
  clientBySecretId(secretId: string): StoredCredential | undefined;
  /** The secrets of a user that have not Keyturn's form. */
  importedSecretsOf(userName: string): readonly StoredCredential[];
}

/** A secret with the id of a live secret of this very client, and a right checksum. Only its hash tells whether it is that one. */
export interface RecognizedSecret {
  readonly client: AuthenticatedClient;
  readonly stored: StoredSecret;
  /** This process has compared it with that hash before. */
  readonly isVerified: boolean;
}

export interface ClientAuthenticatorOptions {
  readonly directory: ClientDirectory;
  readonly hasher: SecretHasher;
  readonly commands: CommandHandler;
  readonly isStillValid: IsStillValid | undefined;
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
   * this very client; or when this client has an imported secret, which has neither.
   *
   * @param request goes into the metadata of an event that this causes
   */
  async authenticate(
    loginName: string,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    const recognized = this.recognize(loginName, secret, request);
    return recognized
      ? this.confirm(recognized, secret, request)
      : this.authenticateImported(loginName, secret, request);
  }

  /** What is known of the secret before anything is hashed. May be asked any number of times. */
  recognize(loginName: string, secret: string, request: AuthenticationRequest): RecognizedSecret | undefined {
    const secretId = secretIdOf(secret);
    // By secret id alone: an unknown client and a wrong secret take one and the same way.
    const stored = secretId === undefined ? undefined : this.#options.directory.clientBySecretId(secretId);
    if (stored === undefined) return undefined;
    return isSameName(stored.account.userName, loginName) ? this.#usable(stored, secret, request) : undefined;
  }

  /**
   * The client, if the secret is one that it brought from another system. There is nothing in such a secret that tells which
   * it is, so each of the few that the client has is hashed.
   */
  async authenticateImported(
    loginName: string,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    if (secret.length > longestImportedSecret) return undefined;
    for (const stored of this.#options.directory.importedSecretsOf(loginName)) {
      const usable = this.#usable(stored, secret, request);
      const client = usable && (await this.confirm(usable, secret, request));
      if (client !== undefined) return client;
    }
    return undefined;
  }

  /** Undefined where the secret could not be used even if it is the right one. */
  #usable(
    { account, secret: stored }: StoredCredential,
    secret: string,
    { origin }: AuthenticationRequest,
  ): RecognizedSecret | undefined {
    const { secretId, hashedSecret, retiresAt, allowedNetworks } = stored;
    if (!account.isActive || !isLive(stored, this.#options.commands.now())) return undefined;
    if (!isInNetworks(origin.address, allowedNetworks)) return undefined;
    const isReplaced = retiresAt !== undefined;
    return {
      client: { ...account, credential: { kind: 'secret', id: secretId, ...(isReplaced && { isReplaced }) } },
      stored,
      isVerified: this.#verified.isVerified(secret, hashedSecret),
    };
  }

  /** The client, if the secret is the one that it was recognized as, and still counts. */
  async confirm(
    { client, stored, isVerified }: RecognizedSecret,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    const { hasher, isStillValid } = this.#options;
    const { hashedSecret, maxUses } = stored;
    if (!isVerified) {
      if (!(await hasher.verify(secret, hashedSecret))) return undefined;
      // The hash may have waited for others, and the secret ended meanwhile.
      if (!this.#isUsableNow(client, stored)) return undefined;
    }
    if (isStillValid !== undefined && !(await isStillValid(client))) return undefined;
    if (maxUses !== undefined && !(await this.#countUse(client, maxUses, request))) return undefined;
    if (isVerified) return client;
    this.#verified.remember(secret, hashedSecret);
    if (hasher.isOutdated(hashedSecret)) this.#rehash(client, stored, secret, request);
    return client;
  }

  #isUsableNow({ userId, userName }: AuthenticatedClient, { secretId, isImported }: StoredSecret): boolean {
    const { directory, commands } = this.#options;
    const now = commands.now();
    const found = isImported ? directory.importedSecretsOf(userName) : [directory.clientBySecretId(secretId)];
    return found.some(
      (stored) =>
        stored?.account.userId === userId &&
        stored.account.isActive &&
        stored.secret.secretId === secretId &&
        isLive(stored.secret, now),
    );
  }

  /** Whether the secret may be used once more. Waited for: the count is exact on all nodes. */
  async #countUse(
    { userId, organizationId, credential }: AuthenticatedClient,
    maxUses: number,
    { id, origin }: AuthenticationRequest,
  ): Promise<boolean> {
    const count = { type: 'CountUse', secretId: credential.id, maxUses } as const;
    const context = { editor: { userId, organizationId }, origin, correlationId: id, causationId: id };
    try {
      await this.#options.commands.execute(machineSecretUse, userId, count, context);
      return true;
    } catch (error) {
      if (error instanceof KeyturnError && error.code === 'SECRET_USED_UP') return false;
      throw error;
    }
  }

  /** Not waited for: the answer does not depend on it. */
  #rehash(
    { userId, organizationId, credential: { id: secretId } }: AuthenticatedClient,
    { isImported, hashedSecret: outdatedHash }: StoredSecret,
    secret: string,
    { id, origin }: AuthenticationRequest,
  ): void {
    const { hasher, commands, onRehashFailure } = this.#options;
    const rehash = async () => {
      // The slow hash of another system goes on protecting what ours, which is fast, could not.
      if (isImported && !(await isFitForOurHash(secret))) return;
      const hashedSecret = await hasher.hash(secret);
      await commands.execute(
        machineUser,
        userId,
        { type: 'RehashSecret', organizationId, secretId, outdatedHash, hashedSecret },
        { editor: { userId, organizationId }, origin, correlationId: id, causationId: id },
      );
    };
    rehash().catch(onRehashFailure);
  }
}

function isSameName(userName: string, loginName: string): boolean {
  return userName === loginName || normalizeUserName(userName) === normalizeUserName(loginName);
}

async function isFitForOurHash(secret: string): Promise<boolean> {
  return Buffer.byteLength(secret) <= longestHashedSecret && (await weaknessOf(secret)) === undefined;
}
