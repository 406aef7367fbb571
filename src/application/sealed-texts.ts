import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const cipher = 'aes-256-gcm';
const saltLength = 32;
const tagLength = 16;

/**
 * Texts that only who has the key can read: encrypted and authenticated, so that none can be guessed or changed, and every
 * node opens those of every other.
 *
 * The base64url of: salt (32 bytes), ciphertext, tag (16 bytes). The salt gives each text a key and nonce of its own
 * (HKDF-SHA-256), for a random nonce under one key would have to change the key after 2^32 texts.
 */
export class SealedTexts {
  readonly #keys: readonly Uint8Array[];

  /** @param keys to seal with the first of, and to open with any */
  constructor(keys: readonly Uint8Array[]) {
    this.#keys = keys;
  }

  seal(text: string): string {
    const [key] = this.#keys as [Uint8Array];
    const salt = randomBytes(saltLength);
    const encryption = createCipheriv(cipher, ...keyAndNonce(key, salt));
    const ciphertext = [encryption.update(text, 'utf8'), encryption.final()];
    return Buffer.concat([salt, ...ciphertext, encryption.getAuthTag()]).toString('base64url');
  }

  /** Undefined when it was not sealed with one of the keys, or was changed. */
  open(sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    // Bits after the last byte are ignored in decoding: another spelling of a text is not that text.
    if (bytes.length < saltLength + tagLength || bytes.toString('base64url') !== sealed) return undefined;
    for (const key of this.#keys) {
      const text = decrypt(key, bytes);
      if (text !== undefined) return text;
    }
    return undefined;
  }
}

function keyAndNonce(key: Uint8Array, salt: Uint8Array): [key: Uint8Array, nonce: Uint8Array] {
  const derived = new Uint8Array(hkdfSync('sha256', key, salt, '', 32 + 12));
  return [derived.subarray(0, 32), derived.subarray(32)];
}

function decrypt(key: Uint8Array, bytes: Buffer): string | undefined {
  const decryption = createDecipheriv(cipher, ...keyAndNonce(key, bytes.subarray(0, saltLength)));
  decryption.setAuthTag(bytes.subarray(-tagLength));
  try {
    return Buffer.concat([
      decryption.update(bytes.subarray(saltLength, -tagLength)),
      decryption.final(),
    ]).toString('utf8');
  } catch {
    // The tag does not fit: another key, or another text.
    return undefined;
  }
}
