import { KeyturnError } from '../domain/errors.ts';

/**
 * Does `work` for as long as somebody waits for the answer, and no longer than `limit` milliseconds.
 *
 * @param limit where nothing is left, nothing is begun
 * @param gone aborts when nobody waits any more; its reason is then thrown
 * @param work gets a signal to stop by; where it does not, the answer does not wait for it
 * @throws KeyturnError `REQUEST_TIMEOUT`
 */
export async function withDeadline<Result>(
  limit: number,
  gone: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (limit <= 0) throw new KeyturnError('REQUEST_TIMEOUT');
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown) => {
    controller.abort(reason);
    reject(reason);
  };
  const timer = setTimeout(() => end(new KeyturnError('REQUEST_TIMEOUT')), limit);
  const onGone = () => end(gone.reason);
  gone.addEventListener('abort', onGone, { once: true });
  if (gone.aborted) onGone();
  try {
    return await Promise.race([work(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener('abort', onGone);
  }
}
