import type { FastifyRequest } from 'fastify';
import type { AuthenticatedClient, ClientAuthenticator } from '../../application/client-authentication.ts';
import type { CommandContext } from '../../application/command-handler.ts';
import { originOf } from '../../domain/event-metadata.ts';
import type { FormParameters } from './form.ts';
import { OAuthError } from './oauth-error.ts';
import { readPresentedClient } from './presented-client.ts';

/**
 * The client that sends the request, by any method of authentication that this server offers.
 *
 * @throws OAuthError `invalid_client`, with one text for every reason; `invalid_request` for two methods at once
 */
export async function requireClient(
  authenticator: ClientAuthenticator,
  request: FastifyRequest,
  form: FormParameters,
): Promise<AuthenticatedClient> {
  const { clientId, clientSecret } = readPresentedClient(request.headers.authorization, form);
  const origin = originOf(request.ip, request.headers['user-agent']);
  const client = await authenticator.authenticate(clientId, clientSecret, { id: request.id, origin });
  if (client === undefined) {
    request.log.info('client credentials refused');
    throw new OAuthError('invalid_client', 'client authentication failed');
  }
  const { userId, organizationId, secretId } = client;
  request.log = request.log.child({ userId, organizationId, secretId });
  return client;
}

/** Of what a client causes by a request of its own. */
export function contextOf(
  { userId, organizationId }: AuthenticatedClient,
  request: FastifyRequest,
): CommandContext {
  return {
    editor: { userId, organizationId },
    origin: originOf(request.ip, request.headers['user-agent']),
    correlationId: request.id,
    causationId: request.id,
  };
}
