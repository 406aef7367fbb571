import { createHash, randomUUID } from 'node:crypto';
import type { Clock } from './command-handler.ts';
import type { SigningKeyRing } from './signing-key-ring.ts';

/** How a client proved who it is, as `amr` names it (RFC 8176). */
export type AuthenticationMethod = 'pwd' | 'pop';

export interface IdTokensOptions {
  readonly issuer: () => string;
  readonly keyRing: SigningKeyRing;
  readonly clock: Clock;
  /** In seconds. */
  readonly lifetime: number;
}

/** Issues id tokens (OpenID Connect Core 1.0 section 2), which tell a client who it is. */
export class IdTokens {
  readonly #options: IdTokensOptions;

  constructor(options: IdTokensOptions) {
    this.#options = options;
  }

  /** @param accessToken the one that is answered with it, which `at_hash` binds to it */
  async issue(
    { userId, userName }: { readonly userId: string; readonly userName: string },
    accessToken: string,
    method: AuthenticationMethod,
  ): Promise<string> {
    const { issuer, keyRing, clock, lifetime } = this.#options;
    const now = Math.floor(clock().getTime() / 1000);
    return keyRing.sign('JWT', {
      iss: issuer(),
      sub: userId,
      aud: [userName],
      azp: userName,
      client_id: userName,
      iat: now,
      exp: now + lifetime,
      auth_time: now,
      amr: [method],
      at_hash: await this.#hashOf(accessToken),
      jti: randomUUID(),
    });
  }

  /** The left half of the digest that belongs to the signing algorithm (OpenID Connect Core 1.0 section 3.1.3.6). */
  async #hashOf(accessToken: string): Promise<string> {
    const { algorithm } = await this.#options.keyRing.current();
    const digest = createHash(algorithm === 'EdDSA' ? 'sha512' : 'sha256')
      .update(accessToken)
      .digest();
    return digest.subarray(0, digest.length / 2).toString('base64url');
  }
}
