import { randomUUID } from 'node:crypto';
import {
  CompactEncrypt,
  compactDecrypt,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';

export const signingAlgorithm = 'ES256';

/** A signing key as the events hold it: the private part encrypted under the master key. */
export interface StoredSigningKey {
  readonly keyId: string;
  readonly algorithm: typeof signingAlgorithm;
  readonly publicKey: Readonly<Record<string, string>>;
  readonly encryptedPrivateKey: string;
}

export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: CryptoKey;
}

/** The signing keys cannot be read: the master key is not the one that they were encrypted with. */
export class WrongMasterKeyError extends Error {
  override readonly name = 'WrongMasterKeyError';
}

/** @param masterKey 32 bytes */
export async function generateSigningKey(masterKey: Uint8Array): Promise<StoredSigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(signingAlgorithm, { extractable: true });
  const privateJwk = new TextEncoder().encode(JSON.stringify(await exportJWK(privateKey)));
  const encryptedPrivateKey = await new CompactEncrypt(privateJwk)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(masterKey);
  return {
    keyId: randomUUID(),
    algorithm: signingAlgorithm,
    publicKey: (await exportJWK(publicKey)) as Record<string, string>,
    encryptedPrivateKey,
  };
}

/** The instance's signing keys, as the read model holds them. */
export interface SigningKeyDirectory {
  /** Newest first. */
  signingKeys(): readonly StoredSigningKey[];
}

/** Opens stored signing keys, and keeps them open. */
export class SigningKeyRing {
  readonly #directory: SigningKeyDirectory;
  readonly #masterKey: Uint8Array;
  readonly #opened = new Map<string, Promise<CryptoKey>>();
  readonly #verifying = new Map<string, Promise<CryptoKey>>();

  constructor(directory: SigningKeyDirectory, masterKey: Uint8Array) {
    this.#directory = directory;
    this.#masterKey = masterKey;
  }

  /** The key that new tokens are signed with. Throws {@link WrongMasterKeyError}. */
  async current(): Promise<SigningKey> {
    const [newest] = this.#directory.signingKeys();
    if (newest === undefined) throw new Error('the instance has no signing key');
    let opened = this.#opened.get(newest.keyId);
    if (opened === undefined) {
      opened = decryptPrivateKey(newest, this.#masterKey);
      this.#opened.set(newest.keyId, opened);
    }
    return { keyId: newest.keyId, privateKey: await opened };
  }

  /** The public key with this id, or undefined when it is none of the instance's. */
  publicKey(keyId: string): Promise<CryptoKey> | undefined {
    const known = this.#verifying.get(keyId);
    if (known !== undefined) return known;
    const stored = this.#directory.signingKeys().find((key) => key.keyId === keyId);
    if (stored === undefined) return undefined;
    const imported = importJWK(stored.publicKey, stored.algorithm) as Promise<CryptoKey>;
    this.#verifying.set(keyId, imported);
    return imported;
  }

  /** The public keys as a JWK Set (RFC 7517 section 5). */
  jwks(): { keys: JWK[] } {
    return {
      keys: this.#directory
        .signingKeys()
        .map(({ keyId, algorithm, publicKey }) => ({ ...publicKey, kid: keyId, alg: algorithm, use: 'sig' })),
    };
  }
}

async function decryptPrivateKey(key: StoredSigningKey, masterKey: Uint8Array): Promise<CryptoKey> {
  try {
    const { plaintext } = await compactDecrypt(key.encryptedPrivateKey, masterKey, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    const jwk = JSON.parse(new TextDecoder().decode(plaintext)) as JWK;
    return (await importJWK(jwk, key.algorithm)) as CryptoKey;
  } catch (error) {
    if (!(error instanceof errors.JWEDecryptionFailed)) throw error;
    throw new WrongMasterKeyError(`the master key does not open signing key ${key.keyId}`, { cause: error });
  }
}
