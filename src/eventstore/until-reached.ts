import pRetry from 'p-retry';
import { EventStoreUnavailableError } from './errors.ts';

/** A store that cannot be reached for a while delays who reads it, and does not end them. Undefined at the abort. */
export async function untilReached<Result>(
  read: () => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result | undefined> {
  try {
    return await pRetry(read, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 100,
      maxTimeout: 5000,
      signal,
      shouldRetry: ({ error }) => error instanceof EventStoreUnavailableError,
    });
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  }
}
