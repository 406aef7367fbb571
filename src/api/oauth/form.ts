import type { FastifyRequest } from 'fastify';
import { OAuthError } from './oauth-error.ts';
import { resourceParameter } from './resource-indicators.ts';
import { sentForm } from './sent-form.ts';

/** The parameters of a request body, each once, without `resource`; empty ones count as absent (RFC 6749 section 3.2). */
export type FormParameters = ReadonlyMap<string, string>;

/** What must never stand in a URL, where logs and histories keep it (RFC 6749 section 2.3.1, RFC 6750 section 5.3). */
const secretParameters = new Set([
  'client_id',
  'client_secret',
  'client_assertion',
  'assertion',
  'token',
  'access_token',
]);

/** @throws OAuthError `invalid_request` for credentials in the URL, or a parameter that stands in the body more than once */
export function readForm(request: Pick<FastifyRequest, 'query' | 'body'>): FormParameters {
  if (Object.keys(request.query as object).some((name) => secretParameters.has(name))) {
    throw new OAuthError('invalid_request', 'credentials do not belong in the URL');
  }
  const parameters = new Map<string, string>();
  const empty = new Set<string>();
  for (const [name, value] of sentForm(request)) {
    if (name === resourceParameter) continue;
    if (parameters.has(name) || empty.has(name)) {
      throw new OAuthError('invalid_request', `parameter ${name} is repeated`);
    }
    if (value === '') empty.add(name);
    else parameters.set(name, value);
  }
  return parameters;
}
