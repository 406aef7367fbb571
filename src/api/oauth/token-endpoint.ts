import type { FastifyRequest } from 'fastify';
import { jwtProfileRules } from '../../application/client-assertions.ts';
import type { AuthenticatedClient } from '../../application/client-authentication.ts';
import { defaultScope, type GrantedScopes, grantScopes } from '../../domain/scopes.ts';
import { organizationClaims } from '../../domain/user-claims.ts';
import { provenRequestOf, tokenTypeOf } from '../presented-access-token.ts';
import { authenticationRequestOf, logClient, requireClient } from './authenticated-client.ts';
import type { OAuthDependencies } from './dependencies.ts';
import { type FormParameters, readForm } from './form.ts';
import { OAuthError } from './oauth-error.ts';
import { presentsClient } from './presented-client.ts';
import { readResources } from './resource-indicators.ts';

export const grantTypes = {
  clientCredentials: 'client_credentials',
  /** ZITADEL's JWT profile grant (RFC 7523 section 2.1). */
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
} as const;

/** scope-token of RFC 6749 section 3.3, separated by single spaces. */
const scopeForm = /^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$/;

/** The token endpoint (RFC 6749 section 3.2). */
export async function answerTokenRequest(dependencies: OAuthDependencies, request: FastifyRequest) {
  const form = readForm(request);
  const grantType = form.get('grant_type');
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  const resources = readResources(request);
  // Before the client is authenticated: a client that has to repeat the request for a nonce has not used up an assertion.
  const proof = provenRequestOf(request);
  const examined = proof && (await dependencies.dpop.examine(proof));
  const client = await requireGrantee(grantType, dependencies, request, form);
  const keyThumbprint = examined && dependencies.dpop.use(examined);
  const { accessTokens, idTokens, directory } = dependencies;
  const { organizationId } = client;
  const projectId = directory.managementProjectId() ?? '';
  const { scopes, audience } = readScopes(form, { projectId, organizationId });
  const organizationName = () => directory.organizationName(organizationId) ?? '';
  const accessToken = await accessTokens.issue(client, {
    scopes,
    audience: audience.concat(resources),
    keyThumbprint,
    userClaims: organizationClaims({ organizationId, organizationName }, scopes),
  });
  const idToken = scopes.includes('openid')
    ? await idTokens.issue(client, accessToken, client.credential.kind === 'secret' ? 'pwd' : 'pop')
    : undefined;
  const scope = scopes.join(' ');
  // JSON leaves out what is undefined.
  return {
    access_token: accessToken,
    token_type: tokenTypeOf(keyThumbprint),
    expires_in: accessTokens.lifetime,
    id_token: idToken,
    scope: scope === form.get('scope') ? undefined : scope,
  };
}

/** The machine user that the grant is for: with both grants it is the client itself. */
function requireGrantee(
  grantType: string,
  dependencies: OAuthDependencies,
  request: FastifyRequest,
  form: FormParameters,
): Promise<AuthenticatedClient> {
  switch (grantType) {
    case grantTypes.clientCredentials:
      return requireClient(dependencies, request, form);
    case grantTypes.jwtBearer:
      return requireAsserted(dependencies, request, form);
    default:
      throw new OAuthError(
        'unsupported_grant_type',
        `the grant type must be ${Object.values(grantTypes).join(' or ')}`,
      );
  }
}

/**
 * The machine user that signed `assertion`. Client authentication is not needed beside it (RFC 7521 section 4.1); where
 * there is one it must be right, and of the same user.
 *
 * @throws OAuthError `invalid_grant` for every reason to refuse the assertion
 */
async function requireAsserted(
  dependencies: OAuthDependencies,
  request: FastifyRequest,
  form: FormParameters,
): Promise<AuthenticatedClient> {
  const assertion = form.get('assertion');
  if (assertion === undefined) throw new OAuthError('invalid_request', 'assertion is missing');
  const client = presentsClient(request.headers.authorization, form)
    ? await requireClient(dependencies, request, form)
    : undefined;
  const user = await dependencies.authentication.byAssertion(
    assertion,
    authenticationRequestOf(request),
    jwtProfileRules,
  );
  if (user === undefined || (client !== undefined && client.userId !== user.userId)) {
    request.log.info('assertion refused');
    throw new OAuthError('invalid_grant', 'the assertion is not valid');
  }
  logClient(request, user);
  return user;
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
