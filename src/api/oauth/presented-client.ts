import type { FormParameters } from './form.ts';
import { OAuthError } from './oauth-error.ts';

/** A client id and a client secret, by HTTP Basic or in the form (RFC 6749 section 2.3.1). */
export interface PresentedClient {
  readonly clientId: string;
  readonly clientSecret: string;
}

/**
 * Reads the one method of authentication that the request uses.
 *
 * @throws OAuthError `invalid_client` when there is none, or it is unreadable; `invalid_request` for two methods
 */
export function readPresentedClient(
  authorization: string | undefined,
  form: FormParameters,
): PresentedClient {
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  if (authorization !== undefined) {
    const basic = readBasic(authorization);
    if (clientSecret !== undefined || form.has('client_assertion')) {
      throw new OAuthError('invalid_request', 'more than one method of client authentication');
    }
    if (clientId !== undefined && clientId !== basic.clientId) {
      throw new OAuthError('invalid_request', 'client_id is not the one of the Authorization header');
    }
    return basic;
  }
  if (clientId === undefined || clientSecret === undefined) {
    throw new OAuthError('invalid_client', 'client authentication is missing');
  }
  return { clientId, clientSecret };
}

/** Both parts are form-url-encoded before they are joined (RFC 6749 section 2.3.1). */
function readBasic(authorization: string): PresentedClient {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1] ?? '';
  const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? [];
  try {
    return { clientId: formDecode(id ?? ''), clientSecret: formDecode(secret ?? '') };
  } catch {
    throw new OAuthError('invalid_client', 'the Authorization header is unreadable');
  }
}

function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
