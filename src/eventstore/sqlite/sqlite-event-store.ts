import { EventEmitter, once } from 'node:events';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { EventStoreClosedError, UnreadableEventError, WrongExpectedRevisionError } from '../errors.ts';
import type {
  AppendResult,
  EventFilter,
  EventStore,
  ExpectedRevision,
  JsonObject,
  NewEvent,
  ReadAllOptions,
  ReadStreamOptions,
  RecordedEvent,
  SubscribeOptions,
  SubscriptionBatch,
} from '../event-store.ts';
import { type SerializedEvent, serializeNewEvents } from '../new-events.ts';
import { createPrivateFile } from './private-file.ts';
import { positionsOfRareStreams } from './rare-streams.ts';
import { checkSchema, prepareSchema } from './schema.ts';
import { acquireWriterLock, type WriterLock } from './writer-lock.ts';

interface PendingAppend {
  readonly stream: string;
  readonly events: readonly SerializedEvent[];
  readonly expectedRevision: ExpectedRevision;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

interface EventRow {
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
  readonly recorded_at: bigint;
}

export interface SqliteEventStoreOptions {
  /** Path of the database file. Made, with mode 0600, when it does not exist. */
  readonly file: string;
  /** Reads a log that another process may be writing. `append` then rejects. */
  readonly readOnly?: boolean;
}

const pageSize = 512;
/** How far back from a stream's end an append with `any` or `stream_exists` is recognized as a repetition. */
const repetitionWindow = 1000n;
/** How often a read-only subscription looks for what the writing process has added, in milliseconds. */
const readOnlyPollInterval = 100;
/** How long a statement waits for another process's lock, in milliseconds. It blocks: no longer than a backup's last step takes. */
const busyTimeout = 1000;

/**
 * The embedded event store: one SQLite file in WAL mode with full synchronization, one writing process.
 *
 * Appends that arrive in the same turn of the event loop share one transaction, and so one fsync.
 *
 * @throws EventStoreUnusableError another process writes to the file, or it is not an event log of this version
 */
export function openSqliteEventStore(options: SqliteEventStoreOptions): EventStore {
  return new SqliteEventStore(options);
}

class SqliteEventStore implements EventStore {
  readonly #db: DatabaseSync;
  readonly #lock: WriterLock | undefined;
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #closing = new AbortController();
  #queue: PendingAppend[] = [];
  #flush: Promise<void> | undefined;
  readonly #log = new EventEmitter<{ grown: [] }>().setMaxListeners(0);

  constructor({ file, readOnly = false }: SqliteEventStoreOptions) {
    if (!readOnly) {
      createPrivateFile(file);
      this.#lock = acquireWriterLock(file);
    }
    try {
      this.#db = openDatabase(file, readOnly);
    } catch (error) {
      this.#lock?.release();
      throw error;
    }
    this.#statements = prepareStatements(this.#db);
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<AppendResult> {
    const serialized = serializeNewEvents(stream, events);
    this.#requireOpen();
    return new Promise((resolve, reject) => {
      this.#queue.push({ stream, events: serialized, expectedRevision, resolve, reject });
      this.#flush ??= new Promise((flushed) => {
        setImmediate(() => {
          this.#flush = undefined;
          this.#commitQueue();
          flushed();
        });
      });
    });
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent> {
    const { from, direction = 'forwards', limit = Number.POSITIVE_INFINITY } = options;
    const forwards = direction === 'forwards';
    const page = forwards ? this.#statements.streamForwards : this.#statements.streamBackwards;
    let next = from ?? (forwards ? 0n : maxInteger);
    let left = limit;
    while (left > 0) {
      this.#requireOpen();
      const rows = page.all(stream, next, Math.min(left, pageSize)) as unknown as EventRow[];
      for (const row of rows) yield toRecordedEvent(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageSize) return;
      left -= rows.length;
      next = forwards ? last.revision + 1n : last.revision - 1n;
    }
  }

  async *readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { after, direction = 'forwards', filter, limit = Number.POSITIVE_INFINITY } = options;
    const forwards = direction === 'forwards';
    this.#requireOpen();
    const rare =
      filter && 'streamPrefixes' in filter && positionsOfRareStreams(this.#db, filter.streamPrefixes);
    if (rare) {
      yield* this.#readAt(rare, options);
      return;
    }
    const { where, parameters } = whereOf(filter);
    const page = this.#prepareRead(
      forwards
        ? `SELECT * FROM events WHERE position > ? AND ${where} ORDER BY position LIMIT ?`
        : `SELECT * FROM events WHERE position < ? AND ${where} ORDER BY position DESC LIMIT ?`,
    );
    let next = after ?? (forwards ? 0n : maxInteger);
    let left = limit;
    while (left > 0) {
      this.#requireOpen();
      const rows = page.all(next, ...parameters, Math.min(left, pageSize)) as unknown as EventRow[];
      for (const row of rows) yield toRecordedEvent(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageSize) return;
      left -= rows.length;
      next = last.position;
    }
  }

  /** The events at `positions`, as far as the options ask for them. */
  *#readAt(
    positions: readonly bigint[],
    { after, direction = 'forwards', limit = Number.POSITIVE_INFINITY }: ReadAllOptions,
  ): Generator<RecordedEvent> {
    const forwards = direction === 'forwards';
    const inOrder = forwards ? positions : positions.toReversed();
    const wanted = inOrder
      .filter((position) => after === undefined || (forwards ? position > after : position < after))
      .slice(0, limit);
    const one = this.#prepareRead('SELECT * FROM events WHERE position = ?');
    for (const position of wanted) {
      this.#requireOpen();
      const row = one.get(position) as unknown as EventRow | undefined;
      if (row !== undefined) yield toRecordedEvent(row);
    }
  }

  async *subscribe(options: SubscribeOptions = {}): AsyncGenerator<SubscriptionBatch> {
    const { after = 0n, filter, signal } = options;
    const stop = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    const { where, parameters } = whereOf(filter);
    const page = this.#prepareRead(
      `SELECT * FROM events WHERE position > ? AND position <= ? AND ${where} ORDER BY position LIMIT ?`,
    );
    let position = after;
    let announced = false;
    while (!stop.aborted) {
      const head = this.#headPosition();
      if (position >= head && announced) {
        // Nothing runs between reading the head and listening, so no append is waited past.
        await this.#nextGrowth(stop);
        continue;
      }
      const rows = page.all(position, head, ...parameters, pageSize) as unknown as EventRow[];
      const caughtUp = rows.length < pageSize;
      position = caughtUp ? max(position, head) : (rows.at(-1)?.position ?? position);
      announced = caughtUp;
      yield { events: rows.map(toRecordedEvent), position, caughtUp };
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#flush;
    this.#db.close();
    this.#lock?.release();
  }

  /** Writes all queued appends in one transaction. A conflict rejects its own append, a fault of the file all of them. */
  #commitQueue(): void {
    const batch = this.#queue;
    this.#queue = [];
    const settle: (() => void)[] = [];
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const pending of batch) {
        const outcome = this.#write(pending);
        settle.push(
          outcome instanceof WrongExpectedRevisionError
            ? () => pending.reject(outcome)
            : () => pending.resolve(outcome),
        );
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      for (const pending of batch) pending.reject(error);
      return;
    }
    for (const settleOne of settle) settleOne();
    this.#log.emit('grown');
  }

  #write({ stream, events, expectedRevision }: PendingAppend): AppendResult | WrongExpectedRevisionError {
    const head = this.#statements.streamHead.get(stream) as { revision: bigint } | undefined;
    const actual = head?.revision ?? 'no_stream';
    const repeated = this.#findRepetition(stream, events, expectedRevision, head?.revision ?? -1n);
    if (repeated !== undefined) return repeated;
    if (!isAsExpected(expectedRevision, actual)) {
      return new WrongExpectedRevisionError(stream, expectedRevision, actual);
    }
    const recordedAt = Date.now();
    let revision = head?.revision ?? -1n;
    let position = 0n;
    for (const { id, type, data, metadata } of events) {
      revision += 1n;
      position = BigInt(
        this.#statements.insert.run(stream, revision, id, type, data, metadata, recordedAt).lastInsertRowid,
      );
    }
    return { revision, position };
  }

  /** The result of an earlier append of the same events, by their ids and in their order. */
  #findRepetition(
    stream: string,
    events: readonly SerializedEvent[],
    expectedRevision: ExpectedRevision,
    head: bigint,
  ): AppendResult | undefined {
    const first = this.#firstRevisionOf(stream, events, expectedRevision, head);
    if (first === undefined || first > head) return undefined;
    const stored = this.#statements.streamForwards.all(stream, first, events.length) as unknown as EventRow[];
    const last = stored.at(-1);
    const isSame =
      stored.length === events.length && stored.every((row, index) => row.id === events[index]?.id);
    return isSame && last ? { revision: last.revision, position: last.position } : undefined;
  }

  #firstRevisionOf(
    stream: string,
    events: readonly SerializedEvent[],
    expectedRevision: ExpectedRevision,
    head: bigint,
  ): bigint | undefined {
    if (expectedRevision === 'no_stream') return 0n;
    if (typeof expectedRevision === 'bigint') return expectedRevision + 1n;
    const found = this.#statements.recentById.get(stream, head - repetitionWindow, events[0]?.id ?? '');
    return (found as { revision: bigint } | undefined)?.revision;
  }

  #headPosition(): bigint {
    return (this.#statements.head.get() as { position: bigint }).position;
  }

  #prepareRead(sql: string): StatementSync {
    this.#requireOpen();
    return prepareRead(this.#db, sql);
  }

  #requireOpen(): void {
    if (this.#closing.signal.aborted) throw new EventStoreClosedError();
  }

  /** Waits until the log may have grown, or `stop`. */
  async #nextGrowth(stop: AbortSignal): Promise<void> {
    const writtenElsewhere = this.#lock === undefined;
    // A timer that keeps the process alive: one that follows a log may have nothing else to do.
    const growth = writtenElsewhere
      ? delay(readOnlyPollInterval, undefined, { signal: stop })
      : once(this.#log, 'grown', { signal: stop });
    await growth.catch((error: Error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }
}

function openDatabase(file: string, readOnly: boolean): DatabaseSync {
  const db = new DatabaseSync(file, { readOnly, timeout: busyTimeout });
  try {
    if (readOnly) {
      checkSchema(db, file);
    } else {
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      prepareSchema(db, file);
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** SQLite's largest integer: past every revision and position. */
const maxInteger = 2n ** 63n - 1n;

function prepareStatements(db: DatabaseSync) {
  return {
    insert: db.prepare(
      'INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    head: prepareRead(db, 'SELECT coalesce(max(position), 0) AS position FROM events'),
    streamHead: prepareRead(
      db,
      'SELECT revision FROM events WHERE stream = ? ORDER BY revision DESC LIMIT 1',
    ),
    recentById: prepareRead(db, 'SELECT revision FROM events WHERE stream = ? AND revision > ? AND id = ?'),
    streamForwards: prepareRead(
      db,
      'SELECT * FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?',
    ),
    streamBackwards: prepareRead(
      db,
      'SELECT * FROM events WHERE stream = ? AND revision <= ? ORDER BY revision DESC LIMIT ?',
    ),
  };
}

function prepareRead(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

function whereOf(filter: EventFilter | undefined): { where: string; parameters: SQLInputValue[] } {
  if (filter === undefined) return { where: 'true', parameters: [] };
  const [column, prefixes] =
    'streamPrefixes' in filter ? ['stream', filter.streamPrefixes] : ['type', filter.typePrefixes];
  const conditions = prefixes.map(() => `substr(${column}, 1, length(?)) = ?`);
  return {
    where: conditions.length === 0 ? 'false' : `(${conditions.join(' OR ')})`,
    parameters: prefixes.flatMap((prefix) => [prefix, prefix]),
  };
}

function isAsExpected(expected: ExpectedRevision, actual: bigint | 'no_stream'): boolean {
  if (expected === 'any') return true;
  if (expected === 'stream_exists') return actual !== 'no_stream';
  return expected === actual;
}

function toRecordedEvent(row: EventRow): RecordedEvent {
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

function parseJson(row: EventRow, json: string): JsonObject {
  try {
    return JSON.parse(json) as JsonObject;
  } catch (error) {
    throw new UnreadableEventError(row, { cause: error });
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
