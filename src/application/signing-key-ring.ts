import type { KeyObject } from 'node:crypto';
import { errors, importJWK, type JWK, type JWTPayload, jwtVerify } from 'jose';
import {
  publishedKeysAt,
  type SigningAlgorithm,
  signingAlgorithms,
  signingKeyAt,
  signsUntil,
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

/** A signing key that is ready to sign. */
interface OpenKey {
  readonly keyId: string;
  readonly algorithm: SigningAlgorithm;
  readonly privateKey: KeyObject;
  /** Protected headers in base64url, by their `typ`. */
  readonly headers: Map<string, string>;
}

/** Signs the JWTs of this issuer and verifies them, with the keys that the read model has at that moment. */
export class SigningKeyRing {
  readonly #options: SigningKeyRingOptions;
  readonly #thread = new SigningThread();
  #version = -1;
  #keys: readonly ListedSigningKey[] = [];
  /** The key that signs, and between which times of the clock, in milliseconds since 1970, it does. */
  #signing:
    | { readonly key: ListedSigningKey | undefined; readonly from: number; readonly until: number }
    | undefined;
  readonly #opening = new Map<string, Promise<OpenKey>>();
  readonly #open = new Map<string, OpenKey>();
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
  sign(type: string, payload: JWTPayload): Promise<string> {
    const key = this.#open.get(this.signingKeyId() ?? '');
    return key === undefined
      ? this.current().then((opened) => this.#signWith(opened, type, payload))
      : this.#signWith(key, type, payload);
  }

  #signWith(key: OpenKey, type: string, payload: JWTPayload): Promise<string> {
    const { algorithm, privateKey } = key;
    const unsigned = `${headerOf(key, type)}.${JSON.stringify(payload)}`;
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
  async current(): Promise<OpenKey> {
    const key = this.#signingKey();
    if (key === undefined) throw new Error('the instance has no signing key');
    return this.#open.get(key.keyId) ?? once(this.#opening, key.keyId, () => this.#openKey(key));
  }

  /** The id of the key that signs now; undefined before there is one. */
  signingKeyId(): string | undefined {
    return this.#signingKey()?.keyId;
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

  #signingKey(): ListedSigningKey | undefined {
    this.#refresh();
    const now = this.#options.clock();
    const time = now.getTime();
    if (this.#signing === undefined || time < this.#signing.from || time >= this.#signing.until) {
      const key = signingKeyAt(this.#keys, now);
      this.#signing = {
        key,
        from: key === undefined ? time : Date.parse(key.signsFrom),
        until: signsUntil(this.#keys, now),
      };
    }
    return this.#signing.key;
  }

  async #openKey(key: ListedSigningKey): Promise<OpenKey> {
    const { keyId, algorithm } = key;
    const privateKey = await openSigningKey(key, this.#options.masterKeys);
    const opened = { keyId, algorithm, privateKey, headers: new Map() };
    this.#open.set(keyId, opened);
    return opened;
  }

  #refresh(): void {
    const { directory } = this.#options;
    const version = directory.signingKeysVersion();
    if (version === this.#version) return;
    this.#keys = directory.signingKeys();
    this.#signing = undefined;
    this.#version = version;
  }
}

function headerOf({ keyId: kid, algorithm: alg, headers }: OpenKey, typ: string): string {
  let header = headers.get(typ);
  if (header === undefined) {
    header = Buffer.from(JSON.stringify({ alg, typ, kid })).toString('base64url');
    headers.set(typ, header);
  }
  return header;
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
