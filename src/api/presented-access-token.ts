import type { FastifyRequest } from 'fastify';
import type { AccessTokenClaims } from '../application/access-token-claims.ts';
import type { AccessTokens } from '../application/access-tokens.ts';
import type { DpopProofs, ProvenRequest } from '../application/dpop-proofs.ts';

/** An access token as the header `Authorization` presents it (RFC 6750 section 2.1, RFC 9449 section 7.1). */
export interface PresentedAccessToken {
  readonly scheme: 'bearer' | 'dpop';
  readonly token: string;
}

/** The request as a DPoP proof has to name it. `earlier`: the key was proven when what goes on now was begun. */
export type PresentedProof = ProvenRequest | 'earlier';

export function tokenTypeOf(keyThumbprint: string | undefined): 'Bearer' | 'DPoP' {
  return keyThumbprint === undefined ? 'Bearer' : 'DPoP';
}

/** Undefined for anything else. */
export function readAccessToken(authorization: string | undefined): PresentedAccessToken | undefined {
  const [, scheme = '', token] = /^(Bearer|DPoP) +([^ ]+)$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) return undefined;
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'dpop' : 'bearer', token };
}

/** The request as a DPoP proof has to name it; undefined when there is no proof. */
export function provenRequestOf(request: FastifyRequest): ProvenRequest | undefined {
  const { dpop: proof } = request.headers;
  if (proof === undefined) return undefined;
  const [path = ''] = request.url.split('?', 1);
  return { proof: [proof].flat().join(), method: request.method, path };
}

/**
 * What the token says, if it is alive and comes as its kind has to: a bearer token as `Bearer`, one that is bound to a key
 * as `DPoP` with a proof of that key.
 *
 * @throws InvalidDpopProofError
 * @throws DpopNonceError
 */
export async function verifyAccessToken(
  { scheme, token }: PresentedAccessToken,
  proof: PresentedProof | undefined,
  { accessTokens, dpop }: { readonly accessTokens: AccessTokens; readonly dpop: DpopProofs },
): Promise<AccessTokenClaims | undefined> {
  const claims = await accessTokens.verify(token);
  if (claims === undefined) return undefined;
  if (scheme === 'bearer') return claims.keyThumbprint === undefined ? claims : undefined;
  if (proof === undefined || claims.keyThumbprint === undefined) return undefined;
  if (proof === 'earlier') return claims;
  return (await dpop.verify(proof, token)) === claims.keyThumbprint ? claims : undefined;
}
