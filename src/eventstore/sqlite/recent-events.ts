import type { RecordedEvent } from '../event-store.ts';
import { type EventPage, type EventRow, toRecordedEvent } from './event-row.ts';

/** How many of the last events are kept at least, and dropped to when there are twice as many. */
const keptEvents = 1024;
/** How large an event may be to be kept, in UTF-16 units of its JSON: all together must not fill the memory. */
const largestKept = 16 * 1024;

interface Kept {
  readonly row: EventRow;
  /** Read from its JSON at its first use, once for all. */
  event?: RecordedEvent;
}

/**
 * The last events of a log that this process writes to, in memory: subscriptions that are up to date share them, and need
 * not read the file after each commit.
 */
export class RecentEvents {
  #events: Kept[] = [];
  /** What stands in the log after this is kept. */
  #after: bigint;

  constructor(endOfLog: bigint) {
    this.#after = endOfLog;
  }

  /** @param rows the next of the log, in its order */
  add(rows: readonly EventRow[]): void {
    for (const row of rows) {
      if (row.data.length + row.metadata.length <= largestKept) {
        this.#events.push({ row });
      } else {
        this.#events = [];
        this.#after = row.position;
      }
    }
    if (this.#events.length < 2 * keptEvents) return;
    const dropped = this.#events.splice(0, this.#events.length - keptEvents);
    this.#after = dropped.at(-1)?.row.position ?? this.#after;
  }

  /** Up to `limit` events after `position`; undefined when not all of them are kept. */
  after(position: bigint, limit: number): EventPage | undefined {
    if (position < this.#after) return undefined;
    let start = this.#events.length;
    while (start > 0 && (this.#events[start - 1] as Kept).row.position > position) start--;
    const events = this.#events.slice(start, start + limit).map((kept) => {
      kept.event ??= toRecordedEvent(kept.row);
      return kept.event;
    });
    return { events, isWhole: true };
  }
}
