import { hkdfSync } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, errors } from 'jose';

/** What is stored under a master key cannot be read: the key is another than the one that it was encrypted with. */
export class WrongMasterKeyError extends Error {
  override readonly name = 'WrongMasterKeyError';
}

/** The nodes of an instance need one and the same master key, and none was given. */
export class MissingMasterKeyError extends Error {
  override readonly name = 'MissingMasterKeyError';

  constructor() {
    super('KEYTURN_MASTER_KEY (--master-key) is required with EventStoreDB: all nodes need the same one');
  }
}

export interface Decrypted {
  readonly plaintext: Uint8Array;
  /** It was encrypted under a previous master key: time to encrypt it anew. */
  readonly isOutdated: boolean;
}

/** The master key, and during its change the one before it. Everything that is secret at rest is under it. */
export class MasterKeys {
  readonly #newestFirst: readonly Uint8Array[];

  /** @param current and `previous`: 32 bytes */
  constructor(current: Uint8Array, previous?: Uint8Array) {
    this.#newestFirst = previous === undefined ? [current] : [current, previous];
  }

  /** As a compact JWE (RFC 7516): `dir` with A256GCM; `kid` tells, without giving it away, which master key it needs. */
  async encrypt(plaintext: Uint8Array): Promise<string> {
    const [key] = this.#newestFirst as [Uint8Array];
    return new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: keyIdOf(key) })
      .encrypt(key);
  }

  /** @throws WrongMasterKeyError neither master key opens it */
  async decrypt(jwe: string): Promise<Decrypted> {
    const { kid } = decodeProtectedHeader(jwe);
    for (const [age, key] of this.#newestFirst.entries()) {
      // The first releases wrote no `kid`.
      if (kid !== undefined && kid !== keyIdOf(key)) continue;
      const plaintext = await tryDecrypt(jwe, key);
      if (plaintext !== undefined) return { plaintext, isOutdated: age > 0 };
    }
    throw new WrongMasterKeyError('the master key is not the one that this was encrypted with');
  }

  /** A key of 32 bytes for one purpose from each master key (HKDF, RFC 5869), that of the current one first. */
  derive(purpose: string): Uint8Array[] {
    return this.#newestFirst.map((key) => deriveKey(key, purpose));
  }
}

function keyIdOf(key: Uint8Array): string {
  return Buffer.from(deriveKey(key, 'id')).subarray(0, 12).toString('base64url');
}

function deriveKey(key: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, '', `keyturn ${purpose}`, 32));
}

async function tryDecrypt(jwe: string, key: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    const { plaintext } = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return plaintext;
  } catch (error) {
    if (error instanceof errors.JWEDecryptionFailed) return undefined;
    throw error;
  }
}
