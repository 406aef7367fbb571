import type { JWTPayload } from 'jose';
import { z } from 'zod';

/** What an access token says, in whichever form it is written. */
export interface AccessTokenClaims {
  /** Unique; `jti` of RFC 7519. */
  readonly tokenId: string;
  readonly userId: string;
  /** The name of the machine user when the token was granted. */
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
  /** Seconds since 1970. */
  readonly issuedAt: number;
  /** Seconds since 1970. */
  readonly expiresAt: number;
  /**
   * The version of the user's stream at which its tokens ended last, when this one was granted; 0: they never did. When
   * they end again this token is of an earlier epoch, and void. Two versions compare exactly, where two times of
   * different clocks do not.
   */
  readonly tokenEpoch: number;
  /** The key that the holder has to prove (RFC 9449 section 6.1): its SHA-256 thumbprint. Undefined: a bearer token. */
  readonly keyThumbprint: string | undefined;
}

const epochClaim = 'urn:keyturn:token_epoch';

const payloadSchema = z.object({
  jti: z.string(),
  sub: z.string(),
  client_id: z.string(),
  scope: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  iat: z.int(),
  exp: z.int(),
  [epochClaim]: z.int(),
  cnf: z.object({ jkt: z.string() }).exactOptional(),
});

/** The claims by their names of RFC 7519 and RFC 9068 section 2.2. */
export function payloadOf(claims: AccessTokenClaims): JWTPayload {
  return {
    sub: claims.userId,
    client_id: claims.clientId,
    aud: [...claims.audience],
    scope: claims.scopes.join(' '),
    iat: claims.issuedAt,
    nbf: claims.issuedAt,
    exp: claims.expiresAt,
    jti: claims.tokenId,
    [epochClaim]: claims.tokenEpoch,
    ...(claims.keyThumbprint !== undefined && { cnf: { jkt: claims.keyThumbprint } }),
  };
}

/** Undefined when `payload` is not that of an access token. */
export function claimsOf(payload: unknown): AccessTokenClaims | undefined {
  const result = payloadSchema.safeParse(payload);
  if (!result.success) return undefined;
  const { jti, sub, client_id, scope, aud, iat, exp, [epochClaim]: tokenEpoch, cnf } = result.data;
  return {
    tokenId: jti,
    userId: sub,
    clientId: client_id,
    scopes: scope.split(' '),
    audience: [aud].flat(),
    issuedAt: iat,
    expiresAt: exp,
    tokenEpoch,
    keyThumbprint: cnf?.jkt,
  };
}
