import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import { WrongExpectedRevisionError } from '../errors.ts';
import type { AppendResult, ExpectedRevision } from '../event-store.ts';
import type { SerializedEvent } from '../new-events.ts';
import { type EventRow, maxInteger, prepareRead } from './event-row.ts';
import { RecentEvents } from './recent-events.ts';

export interface Append {
  readonly stream: string;
  readonly events: readonly SerializedEvent[];
  readonly expectedRevision: ExpectedRevision;
}

/** Where an event stands. */
interface Place {
  readonly stream: string;
  readonly revision: bigint;
}

/** How many streams are known by their heads. */
const knownStreams = 50_000;
/** How many of the last events are known by their ids, to recognize the repetition of an append that names no revision, */
const knownIds = 100_000;
/** and how many of them are learned from the file, of what was appended before this process began. */
const learnedIds = 10_000;
/** The revision before a stream's first event. */
const beforeFirst = -1n;
/** Caches that are bounded by size grow with use: `max` would make all places at once. */
const eachIsOne = { sizeCalculation: () => 1 };

/**
 * Writes to the log. No other process does, so what it has once seen of the ends of streams stays true, and an append asks
 * the file nothing: it only inserts. Only where the stream is not as expected, it is looked whether the append repeats
 * one that is stored.
 */
export class LogWriter {
  readonly recent: RecentEvents;
  readonly #db: DatabaseSync;
  readonly #statements: ReturnType<typeof prepareStatements>;
  /** The revision of the last event, `beforeFirst` for a stream that does not exist. */
  readonly #heads = new LRUCache<string, bigint>({ maxSize: knownStreams, ...eachIsOne });
  /** Undefined until the first append that names no revision: Keyturn's own all do. */
  #places: LRUCache<string, Place> | undefined;
  #end: bigint;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#statements = prepareStatements(db);
    this.#end = (this.#statements.end.get() as { position: bigint }).position;
    this.recent = new RecentEvents(this.#end);
  }

  /** The position of the log's last event; 0 when there is none. */
  get end(): bigint {
    return this.#end;
  }

  /** Whether it is known, without asking the file, that the stream has no event from `revision` on. */
  endsBefore(stream: string, revision: bigint): boolean {
    const head = this.#heads.get(stream);
    return head !== undefined && head < revision;
  }

  /** Notes the end of a stream that was read up to it. */
  learnHead(stream: string, head: bigint | undefined): void {
    this.#heads.set(stream, head ?? beforeFirst);
  }

  /**
   * Writes all of `appends` in one durable transaction.
   *
   * @returns for each its result, or its conflict
   * @throws what the file throws; nothing is written then
   */
  commit(appends: readonly Append[]): (AppendResult | WrongExpectedRevisionError)[] {
    const written: EventRow[] = [];
    try {
      this.#statements.begin.run();
      const outcomes = appends.map((append) => this.#write(append, written));
      this.#statements.commit.run();
      this.#end = written.at(-1)?.position ?? this.#end;
      this.recent.add(written);
      return outcomes;
    } catch (error) {
      // Before the rollback, which may fail too.
      for (const { stream } of appends) this.#heads.delete(stream);
      for (const { id } of written) this.#places?.delete(id);
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #write(
    { stream, events, expectedRevision }: Append,
    written: EventRow[],
  ): AppendResult | WrongExpectedRevisionError {
    const head = this.#headOf(stream);
    const repeated = this.#findRepetition(stream, events, expectedRevision, head);
    if (repeated !== undefined) return repeated;
    if (!isAsExpected(expectedRevision, head)) {
      const actual = head === beforeFirst ? 'no_stream' : head;
      return new WrongExpectedRevisionError(stream, expectedRevision, actual);
    }
    const recordedAt = BigInt(Date.now());
    let revision = head;
    let position = 0n;
    for (const { id, type, data, metadata } of events) {
      revision += 1n;
      const inserted = this.#statements.insert.run(stream, revision, id, type, data, metadata, recordedAt);
      position = inserted.lastInsertRowid as bigint;
      written.push({ position, stream, revision, id, type, data, metadata, recorded_at: recordedAt });
      this.#places?.set(id, { stream, revision });
    }
    this.#heads.set(stream, revision);
    return { revision, position };
  }

  #headOf(stream: string): bigint {
    const known = this.#heads.get(stream);
    if (known !== undefined) return known;
    const row = this.#statements.streamHead.get(stream) as { revision: bigint } | undefined;
    return row?.revision ?? beforeFirst;
  }

  /** The result of an earlier append of the same events, by their ids and in their order. */
  #findRepetition(
    stream: string,
    events: readonly SerializedEvent[],
    expectedRevision: ExpectedRevision,
    head: bigint,
  ): AppendResult | undefined {
    const first = this.#firstRevisionOf(stream, events, expectedRevision);
    if (first === undefined || first > head) return undefined;
    const stored = this.#statements.stored.all(stream, first, events.length) as unknown as EventRow[];
    const last = stored.at(-1);
    const isSame =
      stored.length === events.length && stored.every((row, index) => row.id === events[index]?.id);
    return isSame && last ? { revision: last.revision, position: last.position } : undefined;
  }

  /** Where the events stand if they are stored; undefined when they are not. */
  #firstRevisionOf(
    stream: string,
    events: readonly SerializedEvent[],
    expectedRevision: ExpectedRevision,
  ): bigint | undefined {
    if (expectedRevision === 'no_stream') return 0n;
    if (typeof expectedRevision === 'bigint') return expectedRevision + 1n;
    this.#places ??= this.#learnPlaces();
    const place = this.#places.get(events[0]?.id ?? '');
    return place?.stream === stream ? place.revision : undefined;
  }

  #learnPlaces(): LRUCache<string, Place> {
    const places = new LRUCache<string, Place>({ maxSize: knownIds, ...eachIsOne });
    const last = this.#statements.lastIds.all(maxInteger, learnedIds) as unknown as (Place & {
      id: string;
    })[];
    for (const { id, stream, revision } of last.reverse()) places.set(id, { stream, revision });
    return places;
  }
}

function isAsExpected(expected: ExpectedRevision, head: bigint): boolean {
  switch (expected) {
    case 'any':
      return true;
    case 'no_stream':
      return head === beforeFirst;
    case 'stream_exists':
      return head !== beforeFirst;
    default:
      return expected === head;
  }
}

function prepareStatements(db: DatabaseSync) {
  const insert: StatementSync = prepareRead(
    db,
    'INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    insert,
    end: prepareRead(db, 'SELECT coalesce(max(position), 0) AS position FROM events'),
    streamHead: prepareRead(
      db,
      'SELECT revision FROM events WHERE stream = ? ORDER BY revision DESC LIMIT 1',
    ),
    stored: prepareRead(
      db,
      'SELECT * FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?',
    ),
    lastIds: prepareRead(
      db,
      'SELECT id, stream, revision FROM events WHERE position <= ? ORDER BY position DESC LIMIT ?',
    ),
  };
}
