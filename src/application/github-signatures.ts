import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

/** Where GitHub publishes the keys that it signs reports of secret scanning with. */
export const githubKeysUrl = 'https://api.github.com/meta/public_keys/secret_scanning';

const keysSchema = z.object({
  public_keys: z.array(z.object({ key_identifier: z.string(), key: z.string() })).max(100),
});

/** In milliseconds: an unknown key id makes us ask for the keys again, no more often than this. */
const refreshInterval = 60_000;
const keyLifetime = 24 * 3600 * 1000;
const requestTimeout = 5000;

/** The keys cannot be had now: whether a signature is right is not known. */
export class SignatureKeysUnavailableError extends Error {
  override readonly name = 'SignatureKeysUnavailableError';
}

/** Tells whether GitHub signed a report (ECDSA P-256 with SHA-256, over the body as it was sent). */
export class GithubSignatures {
  readonly #url: string;
  readonly #keys = new LRUCache<string, KeyObject>({ max: 100, ttl: keyLifetime });
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(url = githubKeysUrl) {
    this.#url = url;
  }

  /**
   * @param signature base64 of the DER encoding
   * @throws SignatureKeysUnavailableError
   */
  async isValid(body: string, keyId: string, signature: string): Promise<boolean> {
    const key = this.#keys.get(keyId) ?? (await this.#refreshed(keyId));
    if (key === undefined) return false;
    return verify('sha256', Buffer.from(body), key, Buffer.from(signature, 'base64'));
  }

  async #refreshed(keyId: string): Promise<KeyObject | undefined> {
    if (performance.now() - this.#askedAt < refreshInterval) return undefined;
    try {
      const response = await fetch(this.#url, { signal: AbortSignal.timeout(requestTimeout) });
      if (!response.ok) throw new Error(`the keys were refused with ${response.status}`);
      const { public_keys } = keysSchema.parse(await response.json());
      for (const { key_identifier, key } of public_keys) this.#keys.set(key_identifier, createPublicKey(key));
      // Only an answer counts: an outage is no reason to refuse what follows it.
      this.#askedAt = performance.now();
    } catch (error) {
      throw new SignatureKeysUnavailableError('the keys of GitHub cannot be had', { cause: error });
    }
    return this.#keys.get(keyId);
  }
}
