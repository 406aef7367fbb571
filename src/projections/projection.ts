import type { DatabaseSync } from 'node:sqlite';
import { idOfStream } from '../domain/aggregates.ts';
import type { Occurred } from '../domain/decider.ts';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import type { PendingRows } from './pending-rows.ts';

/** An event as a projection sees it. */
export type Projected<Event> = Occurred<Event> & {
  readonly aggregateId: string;
  /** How many events the aggregate's stream holds up to this one. */
  readonly streamVersion: bigint;
};

/** Member by member: an object that is put together from others takes longer to make and to read. */
export function toProjected(
  { type, data }: KeyturnEvent,
  at: { readonly occurredAt: string; readonly stream: string; readonly streamVersion: bigint },
): Projected<KeyturnEvent> {
  const { occurredAt, stream, streamVersion } = at;
  return {
    type,
    data,
    occurredAt,
    aggregateId: idOfStream(stream),
    streamVersion,
  } as Projected<KeyturnEvent>;
}

/** What to do on which event. Event types without a handler are not read at all. */
export type EventHandlers = {
  readonly [Type in KeyturnEvent['type']]?: (
    event: Projected<Extract<KeyturnEvent, { readonly type: Type }>>,
  ) => void;
};

/** Makes rows that are written by `write` when the transaction of the handlers ends. */
export type PutOff = <Row>(write: (row: Row) => void) => PendingRows<Row>;

/** A read model's tables, and how events fill them. A change of either needs a new `readModelVersion`. */
export interface Projection {
  readonly tables: string;
  /** `CREATE INDEX IF NOT EXISTS …`: indexes that queries use and handlers do not. A replay makes them after the rows. */
  readonly indexes?: string;
  handlers(db: DatabaseSync, putOff: PutOff): EventHandlers;
}
