import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { MasterKeys } from './master-keys.ts';

/** Tells people and secret scanners what was found. */
const prefix = 'kta_';
const form = /^kta_([A-Za-z0-9_-]{68,})$/;
const cipher = 'aes-256-gcm';
const saltLength = 32;
const tagLength = 16;

/**
 * Access tokens that only Keyturn can read: their claims, encrypted and authenticated under a key that is derived from
 * the master key. So none can be guessed, and a wrong one is told from a right one without a database.
 *
 * `kta_` and the base64url of: salt (32 bytes), ciphertext, tag (16 bytes). The salt gives each token a key and nonce of
 * its own (HKDF-SHA-256), for a random nonce under one key would have to change the key after 2^32 tokens.
 */
export class OpaqueAccessTokens {
  /** That of the current master key first. */
  readonly #keys: readonly Uint8Array[];

  constructor(masterKeys: MasterKeys) {
    this.#keys = masterKeys.derive('opaque access tokens');
  }

  write(payload: JWTPayload): string {
    const [key] = this.#keys as [Uint8Array];
    const salt = randomBytes(saltLength);
    const encryption = createCipheriv(cipher, ...keyAndNonce(key, salt));
    const ciphertext = [encryption.update(JSON.stringify(payload), 'utf8'), encryption.final()];
    return prefix + Buffer.concat([salt, ...ciphertext, encryption.getAuthTag()]).toString('base64url');
  }

  /** The payload, or undefined when the token was not written with one of the keys, or was changed. */
  read(token: string): unknown {
    const encoded = form.exec(token)?.[1];
    if (encoded === undefined) return undefined;
    const bytes = Buffer.from(encoded, 'base64url');
    // Bits after the last byte are ignored in decoding: another spelling of a token is not that token.
    if (bytes.toString('base64url') !== encoded) return undefined;
    for (const key of this.#keys) {
      const text = decrypt(key, bytes);
      if (text !== undefined) return JSON.parse(text);
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
