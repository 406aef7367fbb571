import { z } from 'zod';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { headOf } from '../eventstore/head.ts';
import { AuditError } from './audit-error.ts';

const time = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

/** A time as people write it: RFC 3339, or a date alone, which begins at midnight UTC. Undefined for anything else. */
export function parseTime(text: string): string | undefined {
  const parsed = time.safeParse(text.replace(' ', 'T').toUpperCase());
  return parsed.success ? new Date(parsed.data).toISOString() : undefined;
}

/** A moment in the life of a log. */
export interface Moment {
  /** Of the last event that belongs to it; 0 before the first. */
  readonly position: bigint;
  /** RFC 3339: the time that was asked for, else when the event at the position occurred. Absent before the first event. */
  readonly time?: string;
}

/**
 * The moment that `text` means: a position as it is, or for a time the last event that had occurred by then.
 *
 * Times are those of the processes that decided, so they can run backwards by as much as clocks differ. The answer is a
 * place in the log where the event before had occurred by that time, and the event after had not.
 *
 * @param text a position, or a time as `parseTime` reads it
 * @throws AuditError anything else, or a position past the log's end
 */
export async function resolveMoment(eventStore: EventStore, text: string): Promise<Moment> {
  if (/^\d{1,18}$/.test(text)) {
    const [position, head] = [BigInt(text), await headOf(eventStore)];
    if (position > head) throw new AuditError(`position ${text} is past the log's end, which is ${head}`);
    const last = eventStore.readAll({ direction: 'backwards', after: position + 1n, limit: 1 });
    for await (const event of last) return { position, time: String(event.metadata['occurredAt']) };
    return { position };
  }
  const time = parseTime(text);
  if (time === undefined) {
    throw new AuditError(
      `${JSON.stringify(text)} is neither a position nor a time: write it as 2026-01-31T14:05:00Z, or as 2026-01-31`,
    );
  }
  return { position: await positionAt(eventStore, Date.parse(time)), time };
}

async function positionAt(eventStore: EventStore, moment: number): Promise<bigint> {
  let low = 0n;
  let high = await headOf(eventStore);
  // Up to `low`, events had occurred by then; past `high`, not.
  while (low < high) {
    const middle = (low + high) / 2n;
    const event = await nextEvent(eventStore, middle);
    if (event !== undefined && event.position <= high && occurredAt(event) <= moment) low = event.position;
    else high = middle;
  }
  return low;
}

async function nextEvent(eventStore: EventStore, after: bigint): Promise<RecordedEvent | undefined> {
  for await (const event of eventStore.readAll({ after, limit: 1 })) return event;
  return undefined;
}

function occurredAt(event: RecordedEvent): number {
  return Date.parse(String(event.metadata['occurredAt']));
}
