import type { FastifyRequest } from 'fastify';
import type { AuthenticatedClient } from '../../application/client-authentication.ts';
import { defaultScope, type GrantedScopes, grantScopes } from '../../domain/scopes.ts';
import { organizationClaims } from '../../domain/user-claims.ts';
import { requireClient } from './authenticated-client.ts';
import type { OAuthDependencies } from './dependencies.ts';
import { type FormParameters, readForm } from './form.ts';
import { OAuthError } from './oauth-error.ts';

export const grantTypes = { clientCredentials: 'client_credentials' } as const;

/** scope-token of RFC 6749 section 3.3, separated by single spaces. */
const scopeForm = /^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$/;

/** The token endpoint (RFC 6749 section 3.2) with the client credentials grant (section 4.4). */
export async function answerTokenRequest(dependencies: OAuthDependencies, request: FastifyRequest) {
  const form = readForm(request);
  const grantType = form.get('grant_type');
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  if (grantType !== grantTypes.clientCredentials) {
    throw new OAuthError('unsupported_grant_type', `the grant type must be ${grantTypes.clientCredentials}`);
  }
  const client = await requireClient(dependencies.authenticator, request, form);
  return grantTo(client, dependencies, request, form);
}

async function grantTo(
  client: AuthenticatedClient,
  { accessTokens, idTokens, directory }: OAuthDependencies,
  request: FastifyRequest,
  form: FormParameters,
) {
  const { organizationId } = client;
  const granted = readScopes(form, { projectId: directory.managementProjectId() ?? '', organizationId });
  const organizationName = directory.organizationName(organizationId) ?? '';
  const userClaims = organizationClaims({ organizationId, organizationName }, granted.scopes);
  const accessToken = await accessTokens.issue(client, { ...granted, userClaims });
  const idToken = granted.scopes.includes('openid')
    ? await idTokens.issue(client, accessToken, 'pwd')
    : undefined;
  request.log.info('access token issued');
  const scope = granted.scopes.join(' ');
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: accessTokens.lifetime,
    ...(idToken !== undefined && { id_token: idToken }),
    ...(scope !== form.get('scope') && { scope }),
  };
}

/** @throws OAuthError `invalid_scope` */
function readScopes(form: FormParameters, owner: Parameters<typeof grantScopes>[1]): GrantedScopes {
  const requested = form.get('scope');
  if (requested !== undefined && !scopeForm.test(requested)) {
    throw new OAuthError('invalid_scope', 'scope is not a list of scopes separated by spaces');
  }
  const granted = grantScopes(requested ?? defaultScope, owner);
  if (granted.scopes.length === 0) {
    throw new OAuthError('invalid_scope', 'none of the requested scopes can be granted');
  }
  return granted;
}
