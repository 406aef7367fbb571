import { createHash, randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Clock } from './command-handler.ts';
import { type SigningKeyRing, signingAlgorithm } from './signing-keys.ts';

/** `typ` of a JWT access token (RFC 9068 section 2.1). */
const accessTokenType = 'at+jwt';
/** In seconds. */
export const accessTokenLifetime = 3600;

export interface AccessTokenSubject {
  readonly userId: string;
  readonly organizationId: string;
  readonly userName: string;
}

export interface AccessTokenClaims {
  readonly userId: string;
  readonly audience: readonly string[];
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

export interface AccessTokensOptions {
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly keyRing: SigningKeyRing;
  readonly clock: Clock;
}

/** Issues and verifies JWT access tokens (RFC 9068). */
export class AccessTokens {
  readonly #options: AccessTokensOptions;
  /** By digest, so that a memory dump holds no token. Signatures are verified once; the rest on every use. */
  readonly #verified = new LRUCache<string, AccessTokenClaims>({ max: 10_000 });

  constructor(options: AccessTokensOptions) {
    this.#options = options;
  }

  /** @param audience Empty: the client itself, as ZITADEL does. */
  async issue(
    subject: AccessTokenSubject,
    { scopes, audience }: { readonly scopes: readonly string[]; readonly audience: readonly string[] },
  ): Promise<string> {
    const { keyId, privateKey } = await this.#options.keyRing.current();
    const issuedAt = this.#nowInSeconds();
    return new SignJWT({ client_id: subject.userName, scope: scopes.join(' ') })
      .setProtectedHeader({ alg: signingAlgorithm, typ: accessTokenType, kid: keyId })
      .setIssuer(this.#options.issuer())
      .setSubject(subject.userId)
      .setAudience(audience.length === 0 ? [subject.userName] : [...audience])
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt)
      .setExpirationTime(issuedAt + accessTokenLifetime)
      .setJti(randomUUID())
      .sign(privateKey);
  }

  /** What the token says, or undefined when it is not one of this issuer, for `audience`, valid now. */
  async verify(token: string, audience: string): Promise<AccessTokenClaims | undefined> {
    const digest = createHash('sha256').update(token).digest('base64url');
    let claims = this.#verified.get(digest);
    if (claims === undefined) {
      claims = await this.#verifySignature(token);
      if (claims === undefined) return undefined;
      this.#verified.set(digest, claims);
    }
    const isValid = claims.expiresAt > this.#nowInSeconds() && claims.audience.includes(audience);
    return isValid ? claims : undefined;
  }

  async #verifySignature(token: string): Promise<AccessTokenClaims | undefined> {
    const { issuer, keyRing, clock } = this.#options;
    try {
      const { payload } = await jwtVerify(
        token,
        async ({ kid }) => {
          const key = await keyRing.publicKey(kid ?? '');
          if (key === undefined) throw new errors.JWKSNoMatchingKey();
          return key;
        },
        {
          issuer: issuer(),
          typ: accessTokenType,
          algorithms: [signingAlgorithm],
          requiredClaims: ['sub', 'aud', 'exp', 'jti'],
          currentDate: clock(),
        },
      );
      const { sub = '', aud = [], exp = 0 } = payload;
      return { userId: sub, audience: [aud].flat(), expiresAt: exp };
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  #nowInSeconds(): number {
    return Math.floor(this.#options.clock().getTime() / 1000);
  }
}
