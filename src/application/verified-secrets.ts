import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/**
 * Remembers that a secret was verified against its stored hash, so that only its first use pays for bcrypt.
 *
 * Kept is an HMAC-SHA256 of secret and stored hash under a random key of this process: of no use outside it, and
 * of no effect once the stored hash is another.
 */
export class VerifiedSecrets {
  readonly #key = randomBytes(32);
  readonly #digests: LRUCache<string, Buffer>;

  /** @param limit how many secrets are remembered; the least recently used goes first */
  constructor(limit = 100_000) {
    this.#digests = new LRUCache({ max: limit });
  }

  remember(userId: string, secretId: string, secret: string, hashedSecret: string): void {
    this.#digests.set(keyOf(userId, secretId), this.#digest(secret, hashedSecret));
  }

  isVerified(userId: string, secretId: string, secret: string, hashedSecret: string): boolean {
    const remembered = this.#digests.get(keyOf(userId, secretId));
    return remembered !== undefined && timingSafeEqual(remembered, this.#digest(secret, hashedSecret));
  }

  #digest(secret: string, hashedSecret: string): Buffer {
    return createHmac('sha256', this.#key).update(`${hashedSecret}\n${secret}`).digest();
  }
}

/** Ids of imported secrets are unique within their user only. */
function keyOf(userId: string, secretId: string): string {
  return `${userId} ${secretId}`;
}
