import type { KeyObject } from 'node:crypto';
import { errors, importJWK, type JWK, type JWTPayload, jwtVerify } from 'jose';
import {
  publishedKeysAt,
  type SigningAlgorithm,
  signingAlgorithms,
  signingKeyAt,
} from '../domain/instance/signing-keys.ts';
import type { Clock } from './command-handler.ts';
import { signWithRsa } from './jws.ts';
import type { MasterKeys } from './master-keys.ts';
import { openSigningKey, type StoredSigningKey } from './signing-keys.ts';
import { SigningThread } from './signing-thread.ts';

/** A signing key with the time from which it signs. */
export interface ListedSigningKey extends StoredSigningKey {
  /** RFC 3339, as `signsFrom`. */
  readonly creationDate: string;
  readonly signsFrom: string;
}

/** The instance's signing keys, as the read model holds them: those that were not revoked. */
export interface SigningKeyDirectory {
  /** Another number after every change of the keys. */
  signingKeysVersion(): number;
  signingKeys(): readonly ListedSigningKey[];
}

export interface SigningKeyRingOptions {
  readonly directory: SigningKeyDirectory;
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
}

/** Signs the JWTs of this issuer and verifies them, with the keys that the read model has at that moment. */
export class SigningKeyRing {
  readonly #options: SigningKeyRingOptions;
  readonly #thread = new SigningThread();
  #version = -1;
  #keys: readonly ListedSigningKey[] = [];
  readonly #opened = new Map<string, Promise<KeyObject>>();
  /** Protected headers in base64url, by key id and type. */
  readonly #headers = new Map<string, string>();
  readonly #imported = new Map<string, Promise<CryptoKey>>();

  constructor(options: SigningKeyRingOptions) {
    this.#options = options;
  }

  /** Another number after every change of the keys: what was verified before may not verify now. */
  get version(): number {
    this.#refresh();
    return this.#version;
  }

  /**
   * @param type the header `typ`
   * @throws WrongMasterKeyError
   */
  async sign(type: string, payload: JWTPayload): Promise<string> {
    const { keyId, algorithm, privateKey } = await this.current();
    const unsigned = `${this.#header(algorithm, type, keyId)}.${JSON.stringify(payload)}`;
    return algorithm === 'RS256'
      ? signWithRsa(unsigned, privateKey)
      : this.#thread.sign(unsigned, algorithm, privateKey);
  }

  /** The payload of a JWT with the header `typ`, by `issuer`, that is valid now; undefined for anything else. */
  async verify(jwt: string, { type, issuer }: { readonly type: string; readonly issuer: string }) {
    try {
      const { payload } = await jwtVerify(jwt, ({ kid, alg }) => this.#publicKey(kid, alg), {
        issuer,
        typ: type,
        algorithms: [...signingAlgorithms],
        requiredClaims: ['sub', 'aud', 'exp', 'jti'],
        currentDate: this.#options.clock(),
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  /** The key that signs now, its private part opened. Throws {@link WrongMasterKeyError}. */
  async current(): Promise<{ keyId: string; algorithm: SigningAlgorithm; privateKey: KeyObject }> {
    this.#refresh();
    const key = signingKeyAt(this.#keys, this.#options.clock());
    if (key === undefined) throw new Error('the instance has no signing key');
    const privateKey = await once(this.#opened, key.keyId, () =>
      openSigningKey(key, this.#options.masterKeys),
    );
    return { keyId: key.keyId, algorithm: key.algorithm, privateKey };
  }

  /** The id of the key that signs now; undefined before there is one. */
  signingKeyId(): string | undefined {
    this.#refresh();
    return signingKeyAt(this.#keys, this.#options.clock())?.keyId;
  }

  /** The published keys, newest first. */
  published(): readonly ListedSigningKey[] {
    this.#refresh();
    return publishedKeysAt(this.#keys, this.#options.clock());
  }

  /** The published public keys as a JWK Set (RFC 7517 section 5). */
  jwks(): { keys: JWK[] } {
    const keys = this.published();
    return {
      keys: keys.map(({ keyId, algorithm, publicKey }) => ({
        ...publicKey,
        kid: keyId,
        alg: algorithm,
        use: 'sig',
      })),
    };
  }

  /** `kid` and `alg` come from an untrusted header: both must be those of one published key. */
  #publicKey(kid: string | undefined, alg: string | undefined): Promise<CryptoKey> {
    const key = this.published().find(({ keyId, algorithm }) => keyId === kid && algorithm === alg);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return once(
      this.#imported,
      key.keyId,
      async () => (await importJWK(key.publicKey, key.algorithm)) as CryptoKey,
    );
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  #header(alg: SigningAlgorithm, typ: string, kid: string): string {
    const name = `${kid} ${typ}`;
    let header = this.#headers.get(name);
    if (header === undefined) {
      header = Buffer.from(JSON.stringify({ alg, typ, kid })).toString('base64url');
      this.#headers.set(name, header);
    }
    return header;
  }

  #refresh(): void {
    const { directory } = this.#options;
    const version = directory.signingKeysVersion();
    if (version === this.#version) return;
    this.#keys = directory.signingKeys();
    this.#version = version;
  }
}

function once<Value>(
  made: Map<string, Promise<Value>>,
  key: string,
  make: () => Promise<Value>,
): Promise<Value> {
  let value = made.get(key);
  if (value === undefined) {
    value = make();
    made.set(key, value);
    // A failure is told to whoever asked, and tried again by the next.
    value.catch(() => made.delete(key));
  }
  return value;
}
