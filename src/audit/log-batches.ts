import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';

export interface LogRange {
  /** Exclusive. Default: the log's begin. */
  readonly after?: bigint;
  /** Inclusive. Default: what the log holds when its end is reached. */
  readonly until?: bigint;
  readonly signal?: AbortSignal;
}

/**
 * The events of a part of the log in log order, in the batches that the store reads: a whole log of any size passes in
 * flat memory, and faster than event by event.
 */
export async function* logBatches(
  eventStore: EventStore,
  { after = 0n, until, signal }: LogRange = {},
): AsyncGenerator<readonly RecordedEvent[]> {
  if (until !== undefined && after >= until) return;
  const subscription = eventStore.subscribe({ after, ...(signal && { signal }) });
  for await (const { events, position, caughtUp } of subscription) {
    const isLast = caughtUp || (until !== undefined && position >= until);
    const inRange =
      isLast && until !== undefined ? events.filter((event) => event.position <= until) : events;
    if (inRange.length > 0) yield inRange;
    if (isLast) return;
  }
}
