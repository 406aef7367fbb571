import formbody from '@fastify/formbody';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type AccessTokens, accessTokenLifetime } from '../../application/access-tokens.ts';
import type { ClientAuthenticator } from '../../application/client-authentication.ts';
import type { SigningKeyRing } from '../../application/signing-keys.ts';
import { KeyturnError } from '../../domain/errors.ts';
import { originOf } from '../../domain/event-metadata.ts';
import { defaultScope, grantScopes } from '../../domain/scopes.ts';
import { readClientCredentials, readForm } from './client-credentials.ts';
import { metadataDocument, oauthPaths } from './metadata.ts';
import { OAuthError } from './oauth-error.ts';

export interface OAuthDependencies {
  readonly issuer: () => string;
  readonly authenticator: ClientAuthenticator;
  readonly accessTokens: AccessTokens;
  readonly keyRing: SigningKeyRing;
  readonly managementProjectId: () => string | undefined;
}

/** In bytes. */
const bodyLimit = 64 * 1024;
const credentialParameters = ['client_id', 'client_secret', 'client_assertion'];
/** scope-token of RFC 6749 section 3.3, separated by single spaces. */
const scopeForm = /^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$/;

/** The authorization server: token endpoint, keys and metadata. */
export async function oauthRoutes(app: FastifyInstance, dependencies: OAuthDependencies): Promise<void> {
  const { issuer, keyRing } = dependencies;
  app.removeAllContentTypeParsers();
  await app.register(formbody, { bodyLimit });
  app.setErrorHandler(answerOAuthError);

  app.post(oauthPaths.token, async (request, reply) => {
    reply.header('cache-control', 'no-store').header('pragma', 'no-cache');
    return grantClientCredentials(dependencies, request);
  });

  app.get(oauthPaths.jwks, async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=300');
    return keyRing.jwks();
  });

  for (const path of [oauthPaths.openidConfiguration, oauthPaths.authorizationServer]) {
    app.get(path, async () => metadataDocument(issuer()));
  }
}

/** The client credentials grant (RFC 6749 section 4.4). */
async function grantClientCredentials(
  { authenticator, accessTokens, managementProjectId }: OAuthDependencies,
  request: FastifyRequest,
) {
  if (credentialParameters.some((name) => name in (request.query as object))) {
    throw new OAuthError('invalid_request', 'credentials do not belong in the URL');
  }
  const form = readForm(request.body);
  const grantType = form.get('grant_type');
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  if (grantType !== 'client_credentials') {
    throw new OAuthError('unsupported_grant_type', 'the grant type must be client_credentials');
  }
  const { clientId, clientSecret } = readClientCredentials(request.headers.authorization, form);
  const origin = originOf(request.ip, request.headers['user-agent']);
  const client = await authenticator.authenticate(clientId, clientSecret, { id: request.id, origin });
  if (client === undefined) {
    request.log.info('client credentials refused');
    throw new OAuthError('invalid_client', 'client authentication failed');
  }

  const requested = form.get('scope');
  if (requested !== undefined && !scopeForm.test(requested)) {
    throw new OAuthError('invalid_scope', 'scope is not a list of scopes separated by spaces');
  }
  const granted = grantScopes(requested ?? defaultScope, {
    projectId: managementProjectId() ?? '',
    organizationId: client.organizationId,
  });
  if (granted.scopes.length === 0) {
    throw new OAuthError('invalid_scope', 'none of the requested scopes can be granted');
  }
  const accessToken = await accessTokens.issue(client, granted);
  const { userId, organizationId } = client;
  request.log.info({ userId, organizationId, secretId: client.secretId }, 'access token issued');
  const scope = granted.scopes.join(' ');
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: accessTokenLifetime,
    ...(scope !== requested && { scope }),
  };
}

function answerOAuthError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply) {
  const { code, httpStatus, message } = toOAuthError(error, request);
  reply.code(httpStatus).header('cache-control', 'no-store').header('pragma', 'no-cache');
  if (code === 'invalid_client') reply.header('www-authenticate', 'Basic realm="keyturn", charset="UTF-8"');
  return reply.send({ error: code, error_description: message });
}

function toOAuthError(error: FastifyError | Error, request: FastifyRequest): OAuthError {
  if (error instanceof OAuthError) return error;
  if (error instanceof KeyturnError && error.grpcCode === 'UNAVAILABLE') {
    return new OAuthError('temporarily_unavailable', error.text);
  }
  if ('code' in error && error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new OAuthError('invalid_request', 'the body must be application/x-www-form-urlencoded');
  }
  if ('statusCode' in error && error.statusCode !== undefined && error.statusCode < 500) {
    // Its own text may repeat what was sent, and that may be a secret.
    return new OAuthError('invalid_request', 'the body is not readable, or too large');
  }
  request.log.error({ err: error }, 'unexpected error');
  return new OAuthError('server_error', 'internal error');
}
