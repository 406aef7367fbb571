import pRetry from 'p-retry';
import type { Logger } from 'pino';
import { EventStoreUnavailableError } from './eventstore/errors.ts';

/** Does not give up: without its event store a node can do nothing, and with it, it can go on. */
export async function onceReached<Result>(logger: Logger, action: () => Promise<Result>): Promise<Result> {
  return pRetry(action, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 500,
    maxTimeout: 5000,
    shouldRetry: ({ error }) => error instanceof EventStoreUnavailableError,
    // Also told of what is not tried again.
    onFailedAttempt: ({ error }) => {
      if (error instanceof EventStoreUnavailableError)
        logger.warn({ err: error }, 'waiting for the event store');
    },
  });
}
