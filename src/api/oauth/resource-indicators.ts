import type { FastifyRequest } from 'fastify';
import { OAuthError } from './oauth-error.ts';
import { sentForm } from './sent-form.ts';

export const resourceParameter = 'resource';
/** All of them stand in the audience of the token. */
const mostResources = 10;

/**
 * What the token is to be used at (RFC 8707 section 2): absolute URIs without a fragment. The parameter may be repeated, as
 * no other may. Any resource can be asked for, as any project by its scope: an API decides by `sub` whom it lets in.
 *
 * @throws OAuthError `invalid_target`
 */
export function readResources(request: Pick<FastifyRequest, 'body'>): readonly string[] {
  const sent = sentForm(request).getAll(resourceParameter);
  if (sent.length === 0) return sent;
  const resources = [...new Set(sent)].filter((resource) => resource !== '');
  if (resources.length > mostResources) {
    throw new OAuthError('invalid_target', `a token is for up to ${mostResources} resources`);
  }
  if (!resources.every(isResource)) {
    throw new OAuthError('invalid_target', 'resource is not an absolute URI without a fragment');
  }
  return resources;
}

/** In visible ASCII characters, as URIs are written (RFC 3986 section 2). */
function isResource(text: string): boolean {
  return (
    /^[a-z][a-z0-9+.-]*:[\x21\x24-\x3B\x3D\x3F-\x5B\x5D\x5F\x61-\x7A\x7E]+$/i.test(text) && URL.canParse(text)
  );
}
