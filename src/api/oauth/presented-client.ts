import type { FormParameters } from './form.ts';
import { OAuthError } from './oauth-error.ts';

/** What a request says of the client that sends it, by the one method of authentication that it uses. */
export type PresentedClient =
  /** By HTTP Basic or in the form (RFC 6749 section 2.3.1). */
  | { readonly kind: 'secret'; readonly clientId: string; readonly clientSecret: string }
  /** A signed assertion (RFC 7523 section 2.2), which names the client itself. */
  | { readonly kind: 'assertion'; readonly clientId: string | undefined; readonly assertion: string };

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export function presentsClient(authorization: string | undefined, form: FormParameters): boolean {
  return authorization !== undefined || form.has('client_secret') || form.has('client_assertion');
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
  const assertion = form.get('client_assertion');
  const methods = [authorization, clientSecret, assertion].filter((method) => method !== undefined);
  if (methods.length > 1) {
    throw new OAuthError('invalid_request', 'more than one method of client authentication');
  }
  if (authorization !== undefined) {
    const basic = readBasic(authorization);
    if (clientId !== undefined && clientId !== basic.clientId) {
      throw new OAuthError('invalid_request', 'client_id is not the one of the Authorization header');
    }
    return { kind: 'secret', ...basic };
  }
  if (assertion !== undefined) {
    if (form.get('client_assertion_type') !== assertionType) {
      throw new OAuthError('invalid_request', `client_assertion_type must be ${assertionType}`);
    }
    return { kind: 'assertion', clientId, assertion };
  }
  if (clientId === undefined || clientSecret === undefined) {
    throw new OAuthError('invalid_client', 'client authentication is missing');
  }
  return { kind: 'secret', clientId, clientSecret };
}

/** Both parts are form-url-encoded before they are joined (RFC 6749 section 2.3.1). */
function readBasic(authorization: string): { clientId: string; clientSecret: string } {
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
