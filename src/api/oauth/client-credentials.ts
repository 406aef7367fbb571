import { OAuthError } from './oauth-error.ts';

/** What a client authenticates with (RFC 6749 section 2.3.1). */
export interface PresentedClientCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** The parameters of a request body, each once; empty ones count as absent (RFC 6749 section 3.2). */
export type FormParameters = ReadonlyMap<string, string>;

/** @throws OAuthError `invalid_request` for a parameter that stands there more than once */
export function readForm(body: unknown): FormParameters {
  const parameters = new Map<string, string>();
  for (const [name, value] of Object.entries((body ?? {}) as Record<string, string | string[]>)) {
    if (Array.isArray(value)) throw new OAuthError('invalid_request', `parameter ${name} is repeated`);
    if (value !== '') parameters.set(name, value);
  }
  return parameters;
}

/**
 * Reads the one method of authentication that the request uses: HTTP Basic or the form.
 *
 * @throws OAuthError `invalid_client` when there are none, or they are unreadable; `invalid_request` for two methods
 */
export function readClientCredentials(
  authorization: string | undefined,
  form: FormParameters,
): PresentedClientCredentials {
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
function readBasic(authorization: string): PresentedClientCredentials {
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
