import type { FastifyInstance } from 'fastify';
import { KeyturnError } from '../domain/errors.ts';
import { pathOf } from './request-path.ts';
import type { FindUnimplemented } from './rest/unimplemented-methods.ts';

const verbs = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/**
 * Makes a known path with another verb answer 405 with `Allow` (RFC 9110 section 15.5.6), where the router alone
 * would answer 404; unless it is that of a method which is not implemented.
 *
 * Call it before any route is added, and register the plugin that it returns after all others.
 */
export function methodNotAllowed(
  app: FastifyInstance,
  findUnimplemented: FindUnimplemented,
): (completion: FastifyInstance) => Promise<void> {
  const paths = new Map<string, { readonly url: string; readonly methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    if (isLeftAlone(url)) return;
    const shape = url.replaceAll(/:\w+/g, ':');
    const path = paths.get(shape) ?? { url, methods: new Set() };
    for (const one of [method].flat()) path.methods.add(one);
    paths.set(shape, path);
  });

  return async (completion) => {
    for (const { url, methods } of [...paths.values()]) {
      const allow = [...methods].sort().join(', ');
      const others = verbs.filter((verb) => !methods.has(verb));
      if (others.length === 0) continue;
      completion.route({
        method: others,
        url,
        // Before the body is read: it may be of a type that nobody parses here.
        onRequest: async (request, reply) => {
          const unimplemented = await findUnimplemented(request.method, pathOf(request));
          if (unimplemented !== undefined) throw unimplemented;
          reply.header('allow', allow);
          throw new KeyturnError('METHOD_NOT_ALLOWED');
        },
        handler: async () => undefined,
      });
    }
  };
}

/** The answer to preflight requests stands on every path; the pages of documents are another plugin's. */
function isLeftAlone(url: string): boolean {
  return url.includes('*') || url.startsWith('/docs');
}
