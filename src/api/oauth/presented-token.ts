import type { FormParameters } from './form.ts';
import { OAuthError } from './oauth-error.ts';

/**
 * The parameter `token` of introspection and revocation. `token_type_hint` is not looked at: there is one type of token,
 * and RFC 7009 section 2.1 has a wrong hint change nothing.
 *
 * @throws OAuthError `invalid_request`
 */
export function requireToken(form: FormParameters): string {
  const token = form.get('token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  return token;
}
