import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { eventCatalogue, type KeyturnEvent, readStoredEvent } from '../domain/event-catalogue.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { isDamage } from '../eventstore/sqlite/damage.ts';
import { PendingRows } from './pending-rows.ts';
import { type EventHandlers, type Projected, toProjected } from './projection.ts';
import { projections, type Queries, queriesOf } from './projections.ts';
import {
  dropIndexes,
  makeIndexes,
  makeTables,
  openDatabase,
  openDatabaseForReplay,
  openSnapshot,
  openTemporary,
} from './read-model-file.ts';
import { RecentAnswers } from './recent-answers.ts';
import { defineClock } from './time-conditions.ts';

/** The last event in the read model: how far it has been built, and by which its log is recognized. */
export interface Checkpoint {
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly eventId: string;
}

/** One open database with its prepared statements. */
interface Session {
  readonly db: DatabaseSync;
  readonly handlers: ReadonlyMap<string, readonly ProjectEvent[]>;
  /** What handlers have put off to the end of the transaction. */
  readonly pending: readonly Pick<PendingRows<unknown>, 'size' | 'writeAll' | 'forgetAll'>[];
  readonly readCheckpoint: StatementSync;
  readonly saveCheckpoint: StatementSync;
  readonly beginBatch: StatementSync;
  readonly endBatch: StatementSync;
}

type ProjectEvent = (event: Projected<KeyturnEvent>) => void;

/**
 * The tables that answers are made from, in a file of their own. Only a cache of the log: it can be deleted at
 * any time while no process runs on it, and is then built anew.
 */
export class ReadModel {
  readonly queries: Queries;
  /** The types of events that change it. */
  readonly eventTypes: ReadonlySet<string>;
  readonly #session: Session;
  readonly #recentAnswers = new RecentAnswers();
  #isHeldOpen = false;
  #isInBatch = false;

  private constructor(db: DatabaseSync, clock = () => new Date(), onDamage?: (error: unknown) => void) {
    defineClock(db, clock);
    this.#session = openSession(db);
    this.eventTypes = new Set(this.#session.handlers.keys());
    const queries = queriesOf(db, this.#recentAnswers);
    this.queries = onDamage === undefined ? queries : tellingOfDamage(queries, onDamage);
  }

  /**
   * It may be of another log, and lack indexes: a replay into the file comes before anything is asked or applied.
   *
   * @param file made, with mode 0600, when it does not exist; made anew when it is damaged or of another version
   * @param clock by which secrets end
   * @param onDamage told what a query has thrown that found the file damaged
   */
  static open(file: string, clock?: () => Date, onDamage?: (error: unknown) => void): ReadModel {
    const db = openDatabase(file);
    try {
      return new ReadModel(db, clock, onDamage);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /**
   * As `open`, for the replay itself: no answers come from the file until {@link finish}, and a new one has no indexes before,
   * which makes filling it faster.
   */
  static openForReplay(file: string): ReadModel {
    return new ReadModel(openDatabaseForReplay(file));
  }

  /** Empties the read model when it was built from another log than `eventStore`. */
  async checkLog(eventStore: EventStore): Promise<void> {
    if (await isBuiltFrom(eventStore, this.checkpoint())) return;
    makeTables(this.#session.db);
    this.#recentAnswers.forgetAll();
  }

  /** Before a replay of much: those that {@link finish} makes, which are made faster than kept. */
  dropIndexes(): void {
    dropIndexes(this.#session.db);
  }

  /** What is left to do after a replay. */
  finish(): void {
    const { db } = this.#session;
    makeIndexes(db);
    // As long as the longest transaction by now, and it would stay so.
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /** After a replay of the same file elsewhere. */
  forgetAnswers(): void {
    this.#recentAnswers.forgetAll();
  }

  /**
   * An empty read model that nobody else sees, and that is gone when it is closed. What memory cannot hold is on the disk.
   * It has no indexes: for what reads whole tables.
   */
  static temporary(clock?: () => Date): ReadModel {
    return new ReadModel(openTemporary(), clock);
  }

  /**
   * A view of the read model in `file` that does not change while it is open, also beside a process that writes to it;
   * undefined when this version has not built it.
   */
  static snapshot(file: string): ReadModel | undefined {
    const db = openSnapshot(file);
    return db && new ReadModel(db);
  }

  /** Undefined while the read model is empty. */
  checkpoint(): Checkpoint | undefined {
    return this.#session.readCheckpoint.get() as unknown as Checkpoint | undefined;
  }

  /**
   * Keeps a transaction open from now on: reads take no lock of their own, and what is applied is saved together, by
   * {@link save}. Until then this process sees it and no other does; a crash loses it, and it is read from the log again.
   */
  holdOpen(): void {
    this.#session.db.exec('BEGIN');
    this.#isHeldOpen = true;
  }

  /** Writes what was applied to the file, where a transaction is held open. */
  save(): void {
    if (this.#isHeldOpen) this.#session.db.exec('COMMIT; BEGIN');
  }

  /** Writes what `events` change, and the checkpoint, all of it or nothing. */
  apply(events: readonly RecordedEvent[]): void {
    const last = events.at(-1);
    if (last === undefined) return;
    this.project(projectedEvents(events, this.eventTypes));
    this.commit(checkpointAt(last));
  }

  /** What `events` change. It is written by {@link commit}, with that of other calls before. */
  project(events: readonly Projected<KeyturnEvent>[]): void {
    const { handlers } = this.#session;
    this.#recentAnswers.hold();
    for (const { aggregateId } of events) this.#recentAnswers.forget(aggregateId);
    this.#inBatch(() => {
      for (const event of events) for (const handle of handlers.get(event.type) ?? []) handle(event);
    });
  }

  /** How many rows wait for {@link commit} in memory. */
  get pendingRows(): number {
    return this.#session.pending.reduce((sum, { size }) => sum + size, 0);
  }

  /** @param checkpoint of the last event that was read, whether it was projected or not */
  commit({ position, stream, revision, eventId }: Checkpoint): void {
    const { pending, saveCheckpoint, endBatch } = this.#session;
    this.#inBatch(() => {
      for (const rows of pending) rows.writeAll();
      saveCheckpoint.run(position, stream, revision, eventId);
      endBatch.run();
      this.#isInBatch = false;
    });
    this.#recentAnswers.release();
  }

  /** A batch is a transaction, or a part of the one that is held open. An error takes all of it back. */
  #inBatch(action: () => void): void {
    const { db, pending, beginBatch } = this.#session;
    try {
      // A batch would be a transaction of its own then, and its checkpoint past what is lost.
      if (this.#isHeldOpen && !db.isTransaction)
        throw new Error('what could not be saved is lost, it has to be read from the log again');
      if (!this.#isInBatch) beginBatch.run();
      this.#isInBatch = true;
      action();
    } catch (error) {
      for (const rows of pending) rows.forgetAll();
      // A full disk, for one, has ended the whole transaction.
      if (db.isTransaction && this.#isInBatch) db.exec('ROLLBACK TO batch; RELEASE batch');
      this.#isInBatch = false;
      this.#recentAnswers.forgetAll();
      this.#recentAnswers.release();
      throw error;
    }
  }

  /** All tables and their rows, in the order of their keys: for a comparison with another read model. */
  tables(): readonly ReadModelTable[] {
    const { db } = this.#session;
    const names = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all();
    return names.map(({ name }) => tableOf(db, String(name)));
  }

  /**
   * What was deleted is overwritten in the file, and is no longer in its write-ahead log.
   *
   * @returns false where another process reads the file: it is there still
   */
  dropTraces(): boolean {
    const { db } = this.#session;
    if (this.#isHeldOpen) db.exec('COMMIT');
    try {
      const { busy } = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
      return busy === 0;
    } finally {
      if (this.#isHeldOpen && !db.isTransaction) db.exec('BEGIN');
    }
  }

  /** Saves what was applied; a batch that was not committed is gone. */
  close(): void {
    const { db } = this.#session;
    if (!db.isOpen) return;
    try {
      if (this.#isHeldOpen && db.isTransaction) db.exec('COMMIT');
    } finally {
      db.close();
    }
  }
}

/**
 * The events of `types` as projections see them.
 *
 * @throws EventSchemaError an event that cannot be read, or of a type that is not in the catalogue: a newer version wrote
 *   it, and what it changes must not be passed over
 */
export function projectedEvents(
  events: readonly RecordedEvent[],
  types: ReadonlySet<string>,
): Projected<KeyturnEvent>[] {
  return events
    .filter(({ type }) => types.has(type) || !Object.hasOwn(eventCatalogue, type))
    .map((recorded) => {
      const { stream, revision } = recorded;
      const event = readStoredEvent(recorded);
      return toProjected(event, { occurredAt: event.occurredAt, stream, streamVersion: revision + 1n });
    });
}

export function checkpointAt({ position, stream, revision, id }: RecordedEvent): Checkpoint {
  return { position, stream, revision, eventId: id };
}

export interface ReadModelTable {
  readonly name: string;
  readonly keyColumns: readonly string[];
  rows(): Iterable<Readonly<Record<string, SQLOutputValue>>>;
}

function tableOf(db: DatabaseSync, name: string): ReadModelTable {
  const columns = db.prepare('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk').all(name);
  const keyColumns = columns.map((column) => String(column['name']));
  const order = keyColumns.length > 0 ? keyColumns.join(', ') : 'rowid';
  const all = db.prepare(`SELECT * FROM ${name} ORDER BY ${order}`);
  all.setReadBigInts(true);
  return { name, keyColumns, rows: () => all.iterate() };
}

/** A restored backup, or another log under the same path, does not have the event that the checkpoint names. */
async function isBuiltFrom(eventStore: EventStore, checkpoint: Checkpoint | undefined): Promise<boolean> {
  if (checkpoint === undefined) return true;
  const { stream, revision, eventId, position } = checkpoint;
  for await (const event of eventStore.readStream(stream, { from: revision, limit: 1 })) {
    return event.id === eventId && event.position === position;
  }
  return false;
}

function tellingOfDamage(queries: Queries, onDamage: (error: unknown) => void): Queries {
  const telling = Object.entries(queries).map(([name, query]) => [
    name,
    (...args: unknown[]) => {
      try {
        return (query as (...args: unknown[]) => unknown)(...args);
      } catch (error) {
        if (isDamage(error)) onDamage(error);
        throw error;
      }
    },
  ]);
  return Object.fromEntries(telling) as Queries;
}

function openSession(db: DatabaseSync): Session {
  const readCheckpoint = db.prepare('SELECT position, stream, revision, event_id AS eventId FROM checkpoint');
  readCheckpoint.setReadBigInts(true);
  const saveCheckpoint = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?, ?)');
  const beginBatch = db.prepare('SAVEPOINT batch');
  const endBatch = db.prepare('RELEASE batch');
  return { db, ...handlersOf(db), readCheckpoint, saveCheckpoint, beginBatch, endBatch };
}

function handlersOf(db: DatabaseSync): Pick<Session, 'handlers' | 'pending'> {
  const handlers = new Map<string, ProjectEvent[]>();
  const pending: Session['pending'][number][] = [];
  const putOff = <Row>(write: (row: Row) => void) => {
    const rows = new PendingRows(write);
    pending.push(rows);
    return rows;
  };
  for (const projection of projections) {
    for (const [type, handler] of Object.entries(projection.handlers(db, putOff) satisfies EventHandlers)) {
      handlers.set(type, [...(handlers.get(type) ?? []), handler as ProjectEvent]);
    }
  }
  return { handlers, pending };
}
