import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { EventStoreClosedError, EventStoreUnusableError, WrongExpectedRevisionError } from '../errors.ts';
import type {
  AppendResult,
  EventFilter,
  EventStore,
  ExpectedRevision,
  NewEvent,
  ReadAllOptions,
  ReadStreamOptions,
  RecordedEvent,
  SubscribeOptions,
  SubscriptionBatch,
} from '../event-store.ts';
import { serializeNewEvents } from '../new-events.ts';
import { isDamage } from './damage.ts';
import {
  type EventPage,
  type EventRow,
  maxInteger,
  prepareRead,
  readableEvents,
  toRecordedEvent,
} from './event-row.ts';
import { type Append, LogWriter } from './log-writer.ts';
import { createPrivateFile } from './private-file.ts';
import { positionsOfRareStreams } from './rare-streams.ts';
import { checkSchema, prepareSchema } from './schema.ts';
import { acquireWriterLock, type WriterLock } from './writer-lock.ts';

interface PendingAppend extends Append {
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

export interface SqliteEventStoreOptions {
  /** Path of the database file. Made, with mode 0600, when it does not exist. */
  readonly file: string;
  /** Reads a log that another process may be writing. `append` then rejects. */
  readonly readOnly?: boolean;
}

const pageSize = 512;
/** How often a read-only subscription looks for what the writing process has added, in milliseconds. */
const readOnlyPollInterval = 100;
/** How long a statement waits for another process's lock, in milliseconds. It blocks: no longer than a backup's last step takes. */
const busyTimeout = 1000;

/**
 * The embedded event store: one SQLite file in WAL mode with full synchronization, one writing process.
 *
 * Appends that arrive in the same turn of the event loop share one transaction, and so one fsync.
 *
 * @throws EventStoreUnusableError another process writes to the file, it is damaged, or not an event log of this version
 */
export function openSqliteEventStore(options: SqliteEventStoreOptions): EventStore {
  return new SqliteEventStore(options);
}

class SqliteEventStore implements EventStore {
  readonly #db: DatabaseSync;
  readonly #lock: WriterLock | undefined;
  /** Undefined where another process writes. */
  readonly #writer: LogWriter | undefined;
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #closing = new AbortController();
  #queue: PendingAppend[] = [];
  #flush: Promise<void> | undefined;
  /** Wake subscriptions that have read all. */
  readonly #onGrowth = new Set<() => void>();

  constructor({ file, readOnly = false }: SqliteEventStoreOptions) {
    if (!readOnly) {
      createPrivateFile(file);
      this.#lock = acquireWriterLock(file);
    }
    let db: DatabaseSync | undefined;
    try {
      db = openDatabase(file, readOnly);
      this.#statements = prepareStatements(db);
      if (!readOnly) this.#writer = new LogWriter(db);
    } catch (error) {
      db?.close();
      this.#lock?.release();
      if (!isDamage(error)) throw error;
      throw new EventStoreUnusableError(`${file} is damaged: ${error.message}`, { cause: error });
    }
    this.#db = db;
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<AppendResult> {
    const serialized = serializeNewEvents(stream, events);
    this.#requireOpen();
    const writer = this.#writer;
    if (writer === undefined) throw new TypeError('a readonly event store takes no appends');
    return new Promise((resolve, reject) => {
      this.#queue.push({ stream, events: serialized, expectedRevision, resolve, reject });
      this.#flush ??= new Promise((flushed) => {
        setImmediate(() => {
          this.#flush = undefined;
          this.#commitQueue(writer);
          flushed();
        });
      });
    });
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent> {
    const { from, direction = 'forwards', limit = Number.POSITIVE_INFINITY } = options;
    const forwards = direction === 'forwards';
    let next = from ?? (forwards ? 0n : maxInteger);
    let left = limit;
    while (left > 0) {
      this.#requireOpen();
      const count = Math.min(left, pageSize);
      const rows = forwards
        ? this.#pageForwards(stream, next, count)
        : this.#pageOf(this.#statements.streamBackwards, stream, next, count);
      for (const row of rows) yield toRecordedEvent(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < count) return;
      left -= rows.length;
      next = forwards ? last.revision + 1n : last.revision - 1n;
    }
  }

  endsBefore(stream: string, from: bigint): boolean {
    this.#requireOpen();
    return this.#writer?.endsBefore(stream, from) === true;
  }

  /** Asks the file only when something may be there, and notes where the stream ends. */
  #pageForwards(stream: string, from: bigint, count: number): EventRow[] {
    if (this.#writer?.endsBefore(stream, from)) return [];
    const rows = this.#pageOf(this.#statements.streamForwards, stream, from, count);
    const last = rows.at(-1);
    const isEnd = rows.length < count && (last !== undefined || from === 0n);
    if (isEnd) this.#writer?.learnHead(stream, last?.revision);
    return rows;
  }

  #pageOf(page: StatementSync, stream: string, from: bigint, count: number): EventRow[] {
    return page.all(stream, from, count) as unknown as EventRow[];
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
    const isWanted = filterOf(filter);
    let position = after;
    let announced = false;
    const growth = this.#growth(stop);
    try {
      while (!stop.aborted) {
        // Who catches up reads the file: an audit of a log that is being written to must see what stands in it.
        const writer: LogWriter | undefined = announced ? this.#writer : undefined;
        const head = writer?.end ?? this.#headPosition();
        if (position >= head && announced) {
          // Nothing runs between reading the head and waiting, so no append is waited past.
          await growth.next();
          continue;
        }
        const kept: EventPage | undefined = writer?.recent.after(position, pageSize);
        const next: EventPage =
          kept ?? readableEvents(page.all(position, head, ...parameters, pageSize) as unknown as EventRow[]);
        const caughtUp = next.isWhole && next.events.length < pageSize;
        position = caughtUp ? max(position, head) : (next.events.at(-1)?.position ?? position);
        announced = caughtUp;
        yield { events: kept?.events.filter(isWanted) ?? next.events, position, caughtUp };
      }
    } finally {
      growth.release();
    }
  }

  /** `next` waits until the log may have grown, or `stop`. */
  #growth(stop: AbortSignal): { next: () => Promise<void>; release: () => void } {
    if (this.#writer === undefined) return { next: () => pollInterval(stop), release() {} };
    let goOn = () => {};
    const wake = () => goOn();
    this.#onGrowth.add(wake);
    stop.addEventListener('abort', wake, { once: true });
    return {
      next: () =>
        new Promise((resolve) => {
          goOn = resolve;
        }),
      release: () => {
        this.#onGrowth.delete(wake);
        // Node keeps a signal that depends on others for as long as somebody listens to it.
        stop.removeEventListener('abort', wake);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#flush;
    this.#db.close();
    this.#lock?.release();
  }

  /** Writes all queued appends in one transaction. A conflict rejects its own append, a fault of the file all of them. */
  #commitQueue(writer: LogWriter): void {
    const batch = this.#queue;
    this.#queue = [];
    try {
      const outcomes = writer.commit(batch);
      for (const [index, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined || outcome instanceof WrongExpectedRevisionError) reject(outcome);
        else resolve(outcome);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    for (const wake of this.#onGrowth) wake();
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
}

/**
 * Until another process may have written, or `stop`. The timer keeps this process alive: one that follows a log may have nothing else
 * to do.
 */
async function pollInterval(stop: AbortSignal): Promise<void> {
  await delay(readOnlyPollInterval, undefined, { signal: stop }).catch((error: Error) => {
    if (error.name !== 'AbortError') throw error;
  });
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

function prepareStatements(db: DatabaseSync) {
  return {
    head: prepareRead(db, 'SELECT coalesce(max(position), 0) AS position FROM events'),
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

/** What {@link whereOf} says in SQL. */
function filterOf(filter: EventFilter | undefined): (event: RecordedEvent) => boolean {
  if (filter === undefined) return () => true;
  if ('streamPrefixes' in filter) {
    return ({ stream }) => filter.streamPrefixes.some((prefix) => stream.startsWith(prefix));
  }
  return ({ type }) => filter.typePrefixes.some((prefix) => type.startsWith(prefix));
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
