import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { UnreadableEventError } from '../errors.ts';
import type { JsonObject, RecordedEvent } from '../event-store.ts';

/** A row of the table `events`, its integers as bigint. */
export interface EventRow {
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
  readonly recorded_at: bigint;
}

/** SQLite's largest integer: past every revision and position. */
export const maxInteger = 2n ** 63n - 1n;

/** A statement that gives integers as bigint. */
export function prepareRead(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

/** @throws UnreadableEventError */
export function toRecordedEvent(row: EventRow): RecordedEvent {
  return {
    stream: row.stream,
    revision: row.revision,
    position: row.position,
    id: row.id,
    type: row.type,
    data: parseJson(row, row.data),
    metadata: parseJson(row, row.metadata),
    recordedAt: new Date(Number(row.recorded_at)),
  };
}

/** Events that were read together. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  /** Otherwise an event that cannot be read comes next. */
  readonly isWhole: boolean;
}

/** @throws UnreadableEventError the first event cannot be read */
export function readableEvents(rows: readonly EventRow[]): EventPage {
  const events: RecordedEvent[] = [];
  try {
    for (const row of rows) events.push(toRecordedEvent(row));
    return { events, isWhole: true };
  } catch (error) {
    if (events.length === 0) throw error;
    return { events, isWhole: false };
  }
}

function parseJson(row: EventRow, json: string): JsonObject {
  try {
    return JSON.parse(json) as JsonObject;
  } catch {
    throw new UnreadableEventError(row);
  }
}
