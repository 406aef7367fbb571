import type { FastifyInstance, FastifyRequest } from 'fastify';

/** In bytes. */
const bodyLimit = 64 * 1024;

/** Has the routes of `app` take forms, and bodies of no other type. */
export function takeForms(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit },
    // It takes the first question mark away, which in a form is part of a name.
    (_request, text, done) => done(null, new URLSearchParams(`?${text}`)),
  );
}

/** What the request has sent; of one without a body, nothing. */
export function sentForm({ body }: Pick<FastifyRequest, 'body'>): URLSearchParams {
  return body instanceof URLSearchParams ? body : new URLSearchParams();
}
