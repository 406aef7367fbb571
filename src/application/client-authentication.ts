import { machineUser } from '../domain/aggregates.ts';
import type { Origin } from '../domain/event-metadata.ts';
import { secretIdOf } from '../domain/machine-secret.ts';
import type { CommandHandler } from './command-handler.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { VerifiedSecrets } from './verified-secrets.ts';

/** A machine user as the authentication of clients needs to know it. */
export interface ClientAccount {
  readonly userId: string;
  readonly organizationId: string;
  readonly userName: string;
  readonly isActive: boolean;
  readonly secrets: readonly { readonly secretId: string; readonly hashedSecret: string }[];
}

/** A client whose secret was verified, and which of its secrets that was. */
export interface AuthenticatedClient extends ClientAccount {
  readonly secretId: string;
}

/** The request that a client authenticates in. */
export interface AuthenticationRequest {
  readonly id: string;
  readonly origin: Origin;
}

export interface ClientDirectory {
  /** Finds by the normalized user name. */
  clientByLoginName(loginName: string): ClientAccount | undefined;
}

export interface ClientAuthenticatorOptions {
  readonly directory: ClientDirectory;
  readonly hasher: SecretHasher;
  readonly commands: CommandHandler;
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
    const secretId = secretIdOf(secret);
    if (secretId === undefined) return undefined;
    const account = this.#options.directory.clientByLoginName(loginName);
    const stored = account?.secrets.find((candidate) => candidate.secretId === secretId);
    if (account === undefined || stored === undefined || !account.isActive) return undefined;
    const client = { ...account, secretId };
    if (this.#verified.isVerified(secretId, secret, stored.hashedSecret)) return client;
    if (!(await this.#options.hasher.verify(secret, stored.hashedSecret))) return undefined;
    this.#verified.remember(secretId, secret, stored.hashedSecret);
    if (this.#options.hasher.isOutdated(stored.hashedSecret)) {
      this.#rehash(client, secret, stored.hashedSecret, request);
    }
    return client;
  }

  /** Not waited for: the answer does not depend on it. */
  #rehash(
    { userId, organizationId, secretId }: AuthenticatedClient,
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
