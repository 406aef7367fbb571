import type { FastifyReply } from 'fastify';
import { KeyturnError } from '../domain/errors.ts';

/**
 * Aborts with KeyturnError `REQUEST_CANCELLED` when the connection ends before the answer is out.
 *
 * `request.signal` of Fastify does not serve: it aborts as soon as the request's body has been read.
 */
export function requestGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const onClose = () => {
    // Over HTTP/2 a stream that is reset counts as finished, but nobody has ended the answer.
    if (!reply.raw.writableEnded) controller.abort(new KeyturnError('REQUEST_CANCELLED'));
  };
  // A hook may have waited, and the connection have ended meanwhile.
  if (reply.request.raw.aborted) onClose();
  else reply.raw.once('close', onClose);
  return controller.signal;
}
