import type { FastifyReply } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';

/**
 * Does `work` for as long as somebody waits for the answer, and no longer than `limit` milliseconds.
 *
 * `request.signal` of Fastify does not serve: it aborts as soon as the request's body has been read.
 *
 * @param work gets a signal to stop by; where it does not, the answer does not wait for it
 * @throws KeyturnError `REQUEST_CANCELLED`, `REQUEST_TIMEOUT`
 */
export async function withDeadline<Result>(
  reply: FastifyReply,
  limit: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: KeyturnError) => {
    controller.abort(reason);
    reject(reason);
  };
  const timer = setTimeout(() => end(new KeyturnError('REQUEST_TIMEOUT')), limit);
  const onClose = () => {
    if (!reply.raw.writableFinished) end(new KeyturnError('REQUEST_CANCELLED'));
  };
  reply.raw.once('close', onClose);
  try {
    return await Promise.race([work(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    reply.raw.off('close', onClose);
  }
}
