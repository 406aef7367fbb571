import type { FastifyRequest } from 'fastify';
import { decodeProtectedHeader } from 'jose';
import { contextOf, requireClient } from './authenticated-client.ts';
import type { OAuthDependencies } from './dependencies.ts';
import { readForm } from './form.ts';
import { OAuthError } from './oauth-error.ts';
import { requireToken } from './presented-token.ts';

/**
 * Token revocation (RFC 7009): a machine user ends a token of its own. Answered when every later request to this node
 * sees it. A token that is unknown, expired or ended already needs no ending: that is a success.
 *
 * @throws OAuthError `invalid_request` for a token of another client, `unsupported_token_type` for an id token
 */
export async function answerRevocation(
  dependencies: OAuthDependencies,
  request: FastifyRequest,
): Promise<void> {
  const form = readForm(request);
  const client = await requireClient(dependencies, request, form);
  const token = requireToken(form);
  const { accessTokens } = dependencies;
  const claims = await accessTokens.verify(token);
  if (claims === undefined) {
    if (isIdToken(token)) throw new OAuthError('unsupported_token_type', 'an id token cannot be revoked');
    return;
  }
  if (claims.userId !== client.userId) {
    throw new OAuthError('invalid_request', 'the token was not issued to this client');
  }
  await accessTokens.revoke(claims, contextOf(client, request));
  request.log.info({ tokenId: claims.tokenId }, 'access token revoked');
}

function isIdToken(token: string): boolean {
  try {
    return decodeProtectedHeader(token).typ === 'JWT';
  } catch {
    return false;
  }
}
