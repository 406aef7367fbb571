import type { FastifyRequest } from 'fastify';
import type { AuthenticatedClient, AuthenticationRequest } from '../../application/client-authentication.ts';
import type { CommandContext } from '../../application/command-handler.ts';
import type { GuardedAuthentication } from '../../application/guarded-authentication.ts';
import { originOf } from '../../domain/event-metadata.ts';
import type { OAuthDependencies } from './dependencies.ts';
import type { FormParameters } from './form.ts';
import { OAuthError } from './oauth-error.ts';
import { type PresentedClient, readPresentedClient } from './presented-client.ts';

/**
 * The client that sends the request, by any method of authentication that this server offers.
 *
 * @throws OAuthError `invalid_client`, with one text for every reason; `invalid_request` for two methods at once
 */
export async function requireClient(
  dependencies: OAuthDependencies,
  request: FastifyRequest,
  form: FormParameters,
): Promise<AuthenticatedClient> {
  const presented = readPresentedClient(request.headers.authorization, form);
  const client = await authenticate(dependencies, presented, authenticationRequestOf(request));
  if (client === undefined) {
    request.log.info('client authentication refused');
    throw new OAuthError('invalid_client', 'client authentication failed');
  }
  logClient(request, client);
  return client;
}

function authenticate(
  { authentication }: OAuthDependencies,
  presented: PresentedClient,
  request: AuthenticationRequest,
): Promise<AuthenticatedClient | undefined> {
  return presented.kind === 'secret'
    ? authentication.bySecret(presented.clientId, presented.clientSecret, request)
    : authenticateByAssertion(authentication, presented, request);
}

async function authenticateByAssertion(
  authentication: GuardedAuthentication,
  { clientId, assertion }: Extract<PresentedClient, { readonly kind: 'assertion' }>,
  request: AuthenticationRequest,
): Promise<AuthenticatedClient | undefined> {
  const client = await authentication.byAssertion(assertion, request);
  const isNamed = clientId === undefined || clientId === client?.userName || clientId === client?.userId;
  return isNamed ? client : undefined;
}

export function authenticationRequestOf(request: FastifyRequest): AuthenticationRequest {
  return { id: request.id, origin: originOf(request.remoteAddress, request.headers['user-agent']) };
}

/** From here on, every line that the request logs says who sent it. */
export function logClient(request: FastifyRequest, client: AuthenticatedClient): void {
  const { userId, organizationId, credential } = client;
  request.log = request.log.child(
    credential.kind === 'secret'
      ? { userId, organizationId, secretId: credential.id }
      : { userId, organizationId, keyId: credential.id },
  );
}

/** Of what a client causes by a request of its own. */
export function contextOf(
  { userId, organizationId }: AuthenticatedClient,
  request: FastifyRequest,
): CommandContext {
  const { id, origin } = authenticationRequestOf(request);
  return { editor: { userId, organizationId }, origin, correlationId: id, causationId: id };
}
