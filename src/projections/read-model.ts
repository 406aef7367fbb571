import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { idOfStream } from '../domain/aggregates.ts';
import { type KeyturnEvent, readStoredEvent } from '../domain/event-catalogue.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { accessTokenQueries, accessTokensProjection } from './access-tokens.ts';
import { instanceProjection, instanceQueries } from './instance.ts';
import { machineKeyQueries, machineKeysProjection } from './machine-keys.ts';
import { machineUserChangeQueries, machineUserChangesProjection } from './machine-user-changes.ts';
import { machineUserSearch } from './machine-user-search.ts';
import { machineUserQueries, machineUsersProjection } from './machine-users.ts';
import { organizationSearch } from './organization-search.ts';
import { organizationQueries, organizationsProjection } from './organizations.ts';
import type { EventHandlers, Projected } from './projection.ts';
import { webhookQueries, webhooksProjection } from './webhooks.ts';

/** Raised with every change of a projection: a read model of another version is built anew. */
const readModelVersion = 5;

const projections = [
  machineUsersProjection,
  machineKeysProjection,
  machineUserChangesProjection,
  organizationsProjection,
  instanceProjection,
  accessTokensProjection,
  webhooksProjection,
];

/** The last event in the read model: how far it has been built, and by which its log is recognized. */
export interface Checkpoint {
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly eventId: string;
}

export type Queries = ReturnType<typeof queriesOf>;

/** One open database with its prepared statements. */
interface Session {
  readonly db: DatabaseSync;
  readonly handlers: ReadonlyMap<string, readonly ProjectEvent[]>;
  readonly readCheckpoint: StatementSync;
  readonly saveCheckpoint: StatementSync;
}

type ProjectEvent = (event: Projected<KeyturnEvent>) => void;

/**
 * The tables that answers are made from, in a file of their own. Only a cache of the log: it can be deleted at
 * any time while no process runs on it, and is then built anew.
 */
export class ReadModel {
  readonly queries: Queries;
  readonly #session: Session;

  private constructor(db: DatabaseSync) {
    this.#session = openSession(db);
    this.queries = queriesOf(db);
  }

  /**
   * @param file made, with mode 0600, when it does not exist; made anew when it is damaged, or was built by another
   *   version or from another log than `eventStore`
   */
  static async open(file: string, eventStore: EventStore): Promise<ReadModel> {
    const readModel = ReadModel.openFile(file);
    await readModel.checkLog(eventStore);
    return readModel;
  }

  /**
   * As `open`, of which log the file was built is not looked at: `checkLog` has to follow before anything is applied.
   *
   * @param file made, with mode 0600, when it does not exist; made anew when it is damaged or of another version
   */
  static openFile(file: string): ReadModel {
    return new ReadModel(openCurrent(file) ?? createAnew(file));
  }

  /** Empties the read model when it was built from another log than `eventStore`. */
  async checkLog(eventStore: EventStore): Promise<void> {
    if (!(await isBuiltFrom(eventStore, this.checkpoint()))) makeTables(this.#session.db);
  }

  /** Undefined while the read model is empty. */
  checkpoint(): Checkpoint | undefined {
    return this.#session.readCheckpoint.get() as unknown as Checkpoint | undefined;
  }

  /** Writes what `events` change, and the checkpoint, in one transaction. */
  apply(events: readonly RecordedEvent[]): void {
    const last = events.at(-1);
    if (last === undefined) return;
    const { db, saveCheckpoint } = this.#session;
    db.exec('BEGIN');
    try {
      for (const event of events) this.#project(event);
      saveCheckpoint.run(last.position, last.stream, last.revision, last.id);
      db.exec('COMMIT');
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    if (this.#session.db.isOpen) this.#session.db.close();
  }

  #project(recorded: RecordedEvent): void {
    const handlers = this.#session.handlers.get(recorded.type);
    if (handlers === undefined) return;
    const event = {
      ...readStoredEvent(recorded),
      aggregateId: idOfStream(recorded.stream),
      streamVersion: recorded.revision + 1n,
    };
    for (const handle of handlers) handle(event);
  }
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

/** The database in `file`, or undefined when there is none that this version of the code has built. */
function openCurrent(file: string): DatabaseSync | undefined {
  if (!existsSync(file)) return undefined;
  const db = new DatabaseSync(file, { open: false });
  try {
    db.open();
    if (db.prepare('PRAGMA user_version').get()?.['user_version'] === readModelVersion) return configured(db);
    db.close();
  } catch {
    // Damaged: mended by building it anew.
    if (db.isOpen) db.close();
  }
  return undefined;
}

function createAnew(file: string): DatabaseSync {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true });
  closeSync(openSync(file, 'wx', 0o600));
  const db = configured(new DatabaseSync(file));
  makeTables(db);
  return db;
}

/** In place of all that there are. */
function makeTables(db: DatabaseSync): void {
  const existing = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  db.exec(`
    BEGIN;
    ${existing.map(({ name }) => `DROP TABLE "${name}";`).join('')}
    ${projections.map((projection) => projection.tables).join('')}
    CREATE TABLE checkpoint (
      one      INTEGER PRIMARY KEY CHECK (one = 1),
      position INTEGER NOT NULL,
      stream   TEXT NOT NULL, -- of the last event, with its revision and id
      revision INTEGER NOT NULL,
      event_id TEXT NOT NULL
    ) STRICT;
    PRAGMA user_version = ${readModelVersion};
    COMMIT;
  `);
}

/** What a crash of the machine takes from this file is read from the log again: no need to wait for the disk. */
function configured(db: DatabaseSync): DatabaseSync {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
  return db;
}

function openSession(db: DatabaseSync): Session {
  const readCheckpoint = db.prepare('SELECT position, stream, revision, event_id AS eventId FROM checkpoint');
  readCheckpoint.setReadBigInts(true);
  const saveCheckpoint = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?, ?)');
  return { db, handlers: handlersOf(db), readCheckpoint, saveCheckpoint };
}

function handlersOf(db: DatabaseSync): ReadonlyMap<string, readonly ProjectEvent[]> {
  const handlers = new Map<string, ProjectEvent[]>();
  for (const projection of projections) {
    for (const [type, handler] of Object.entries(projection.handlers(db) satisfies EventHandlers)) {
      handlers.set(type, [...(handlers.get(type) ?? []), handler as ProjectEvent]);
    }
  }
  return handlers;
}

function queriesOf(db: DatabaseSync) {
  return {
    ...machineUserQueries(db),
    ...machineKeyQueries(db),
    ...machineUserSearch(db),
    ...machineUserChangeQueries(db),
    ...organizationQueries(db),
    ...organizationSearch(db),
    ...instanceQueries(db),
    ...accessTokenQueries(db),
    ...webhookQueries(db),
  };
}
