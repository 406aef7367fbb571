import type { FastifyRequest } from 'fastify';
import { userClaims } from '../../domain/user-claims.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import { provenRequestOf, readAccessToken, verifyAccessToken } from '../presented-access-token.ts';
import type { OAuthDependencies, UserDirectory } from './dependencies.ts';
import { OAuthError } from './oauth-error.ts';

/** The userinfo endpoint (OpenID Connect Core 1.0 section 5.3): what the token's scopes let its holder know of the user. */
export async function answerUserinfo(
  { accessTokens, dpop, directory }: OAuthDependencies,
  request: FastifyRequest,
) {
  const presented = readAccessToken(request.headers.authorization);
  if (presented === undefined) throw new OAuthError('invalid_token', 'an access token is needed');
  const claims = await verifyAccessToken(presented, provenRequestOf(request), { accessTokens, dpop });
  const user = claims && directory.machineUserById(claims.userId);
  if (claims === undefined || user === undefined) {
    throw new OAuthError('invalid_token', 'the token is not valid, or not any more');
  }
  if (!claims.scopes.includes('openid')) {
    throw new OAuthError('insufficient_scope', 'the token needs the scope openid');
  }
  return { sub: claims.userId, ...claimsAbout(user, claims.scopes, directory) };
}

export function claimsAbout(
  user: MachineUserView,
  scopes: readonly string[],
  directory: UserDirectory,
): Record<string, unknown> {
  const organizationName = () => directory.organizationName(user.organizationId) ?? '';
  return userClaims({ ...user, organizationName }, scopes);
}
