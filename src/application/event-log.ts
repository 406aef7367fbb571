import { setImmediate as nextTurn } from 'node:timers/promises';
import { idOfStream } from '../domain/aggregates.ts';
import { type KeyturnEvent, readStoredEvent } from '../domain/event-catalogue.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { EventOwners } from './event-owners.ts';

export interface EventLogQuery {
  readonly ascending: boolean;
  /** How many events are given at most. */
  readonly limit: number;
  /** Exclusive: only events with a greater stream version. */
  readonly afterSequence?: bigint;
  readonly editorId?: string;
  /** Empty: all. */
  readonly types: readonly string[];
  readonly aggregateId?: string;
  /** Categories of streams. Empty: all. */
  readonly categories: readonly string[];
  readonly organizationId?: string;
  /** Inclusive, as `occurredAt` of events. */
  readonly since?: Date;
  readonly until?: Date;
}

/** An event of the log, for people. */
export interface LoggedEvent {
  /** As Keyturn knows it: with hashes and encrypted keys. */
  readonly event: KeyturnEvent;
  readonly category: string;
  readonly aggregateId: string;
  /** The organization that it belongs to; undefined: the instance. */
  readonly organizationId: string | undefined;
  readonly sequence: bigint;
  readonly occurredAt: string;
  readonly editorId: string | undefined;
}

/** How many events are looked at before other work gets its turn. */
const eventsPerTurn = 1000;

/** Searches the log itself: what is found is complete, but what is rare takes as long as the log is. */
export class EventLog {
  readonly #eventStore: EventStore;
  readonly #owners: EventOwners;

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
    this.#owners = new EventOwners(eventStore);
  }

  async search(query: EventLogQuery, signal: AbortSignal): Promise<LoggedEvent[]> {
    const found: LoggedEvent[] = [];
    let looked = 0;
    for await (const recorded of this.#candidates(query)) {
      if (++looked % eventsPerTurn === 0) await nextTurn();
      signal.throwIfAborted();
      const event = toLoggedEvent(recorded);
      if (!matches(event, query)) continue;
      const organizationId = await this.#owners.organizationOf(recorded);
      if (!isOrAny(query.organizationId, organizationId)) continue;
      found.push({ ...event, organizationId });
      if (found.length === query.limit) break;
    }
    return found;
  }

  #candidates({ types, categories, ascending }: EventLogQuery): AsyncIterable<RecordedEvent> {
    const direction = ascending ? 'forwards' : 'backwards';
    if (types.length > 0) return this.#eventStore.readAll({ direction, filter: { typePrefixes: types } });
    if (categories.length === 0) return this.#eventStore.readAll({ direction });
    const streamPrefixes = categories.map((category) => `${category}-`);
    return this.#eventStore.readAll({ direction, filter: { streamPrefixes } });
  }
}

function toLoggedEvent(recorded: RecordedEvent): Omit<LoggedEvent, 'organizationId'> {
  const { stream, revision } = recorded;
  const event = readStoredEvent(recorded);
  const aggregateId = idOfStream(stream);
  return {
    event,
    category: stream.slice(0, stream.length - aggregateId.length - 1),
    aggregateId,
    sequence: revision + 1n,
    occurredAt: event.occurredAt,
    editorId: event.editor?.userId,
  };
}

/** Without the organization, which takes longer to find. */
function matches(event: Omit<LoggedEvent, 'organizationId'>, query: EventLogQuery): boolean {
  const occurredAt = Date.parse(event.occurredAt);
  return (
    (query.types.length === 0 || query.types.includes(event.event.type)) &&
    (query.categories.length === 0 || query.categories.includes(event.category)) &&
    isOrAny(query.aggregateId, event.aggregateId) &&
    isOrAny(query.editorId, event.editorId) &&
    (query.afterSequence === undefined || event.sequence > query.afterSequence) &&
    (query.since === undefined || occurredAt >= query.since.getTime()) &&
    (query.until === undefined || occurredAt <= query.until.getTime())
  );
}

function isOrAny(wanted: string | undefined, actual: string | undefined): boolean {
  return wanted === undefined || wanted === actual;
}
