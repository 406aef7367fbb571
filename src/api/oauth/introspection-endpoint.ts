import type { FastifyRequest } from 'fastify';
import type { AccessTokenClaims } from '../../application/access-token-claims.ts';
import type { AuthenticatedClient } from '../../application/client-authentication.ts';
import { tokenTypeOf } from '../presented-access-token.ts';
import { requireClient } from './authenticated-client.ts';
import type { OAuthDependencies } from './dependencies.ts';
import { readForm } from './form.ts';
import { requireToken } from './presented-token.ts';
import { claimsAbout } from './userinfo-endpoint.ts';

const inactive = { active: false } as const;

/**
 * Token introspection (RFC 7662). A machine user may ask about its own tokens, and about those that name it in their
 * audience: then it is the API that they are for. All others are not alive, as far as it learns.
 */
export async function answerIntrospection(dependencies: OAuthDependencies, request: FastifyRequest) {
  const { accessTokens, directory, issuer } = dependencies;
  const form = readForm(request);
  const client = await requireClient(dependencies, request, form);
  const claims = await accessTokens.verify(requireToken(form));
  if (claims === undefined || !maySee(client, claims)) return inactive;
  const user = directory.machineUserById(claims.userId);
  if (user === undefined) return inactive;
  return {
    active: true,
    iss: issuer(),
    sub: claims.userId,
    aud: claims.audience,
    client_id: claims.clientId,
    username: user.userName,
    scope: claims.scopes.join(' '),
    token_type: tokenTypeOf(claims.keyThumbprint),
    ...(claims.keyThumbprint !== undefined && { cnf: { jkt: claims.keyThumbprint } }),
    iat: claims.issuedAt,
    nbf: claims.issuedAt,
    exp: claims.expiresAt,
    jti: claims.tokenId,
    ...claimsAbout(user, claims.scopes, directory),
  };
}

function maySee({ userId, userName }: AuthenticatedClient, claims: AccessTokenClaims): boolean {
  return claims.userId === userId || claims.audience.includes(userId) || claims.audience.includes(userName);
}
