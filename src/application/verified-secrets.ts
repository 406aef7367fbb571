import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** In bytes. */
const digestLength = 32;

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
  readonly #compared = Buffer.alloc(digestLength);

  /** @param limit how many secrets are remembered; the least recently used goes first */
  constructor(limit = 100_000) {
    // By size, so that it grows with use: `max` would make all places at once.
    this.#digests = new LRUCache({ maxSize: limit, sizeCalculation: () => 1 });
  }

  remember(secret: string, hashedSecret: string): void {
    this.#digests.set(hashedSecret, Buffer.from(this.#digest(secret), 'latin1'));
  }

  isVerified(secret: string, hashedSecret: string): boolean {
    const remembered = this.#digests.get(hashedSecret);
    if (remembered === undefined) return false;
    // As a text, which does not need memory outside the heap: that costs as much as the hash does.
    this.#compared.write(this.#digest(secret), 'latin1');
    return timingSafeEqual(remembered, this.#compared);
  }

  #digest(secret: string): string {
    return hash('sha512-256', this.#key + secret, 'latin1');
  }
}
