import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/**
 * Remembers that a secret was verified against its stored hash, so that only its first use pays for bcrypt.
 *
 * Kept is, for the stored hash, a SHA-512/256 over a random key of this process and the secret: of no use outside the process,
 * and of no effect once the stored hash is another. With this function a key in front makes a MAC, where SHA-256 would
 * need an HMAC around it, which costs twice as much.
 */
export class VerifiedSecrets {
  readonly #key = randomBytes(32).toString('base64url');
  readonly #digests: LRUCache<string, Buffer>;

  /** @param limit how many secrets are remembered; the least recently used goes first */
  constructor(limit = 100_000) {
    // By size, so that it grows with use: `max` would make all places at once.
    this.#digests = new LRUCache({ maxSize: limit, sizeCalculation: () => 1 });
  }

  remember(secret: string, hashedSecret: string): void {
    this.#digests.set(hashedSecret, this.#digest(secret));
  }

  isVerified(secret: string, hashedSecret: string): boolean {
    const remembered = this.#digests.get(hashedSecret);
    return remembered !== undefined && timingSafeEqual(remembered, this.#digest(secret));
  }

  #digest(secret: string): Buffer {
    return hash('sha512-256', this.#key + secret, 'buffer');
  }
}
