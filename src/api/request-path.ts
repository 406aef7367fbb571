import type { FastifyRequest } from 'fastify';

/** Without the query, where a careless client may have put a secret. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}
