import type { FastifyReply } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';

/**
 * Aborts with KeyturnError `REQUEST_CANCELLED` when the connection ends before the answer is out.
 *
 * `request.signal` of Fastify does not serve: it aborts as soon as the request's body has been read.
 */
export function requestGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new KeyturnError('REQUEST_CANCELLED'));
  });
  return controller.signal;
}
