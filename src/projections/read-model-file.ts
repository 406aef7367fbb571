import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { isDamage } from '../eventstore/sqlite/damage.ts';
import { projections } from './projections.ts';

/** Raised with every change of a projection: a read model of another version is built anew. */
const readModelVersion = 11;

/** Those that tables do not have from the beginning. */
const indexes = projections.map((projection) => projection.indexes ?? '').join('');

/** The read model in `file`. One that does not exist, is damaged or of another version is empty, and its indexes are not made. */
export function openDatabase(file: string): DatabaseSync {
  return openCurrent(file) ?? createAnew(file);
}

/** The same, set up to be filled with much. */
export function openDatabaseForReplay(file: string): DatabaseSync {
  const db = openDatabase(file);
  // A larger cache, and fewer moves from the write-ahead log into the file: both are in 4 KiB pages.
  db.exec('PRAGMA cache_size = 4096; PRAGMA wal_autocheckpoint = 16384;');
  return db;
}

/** What does not change while it is open; undefined when there is none that this version has built. */
export function openSnapshot(file: string): DatabaseSync | undefined {
  const db = openCurrent(file, { readOnly: true });
  // The first read fixes what a transaction sees.
  db?.exec('BEGIN; SELECT 1 FROM checkpoint;');
  return db;
}

/** An empty one, gone when it is closed. What memory cannot hold is on the disk. */
export function openTemporary(): DatabaseSync {
  const db = new DatabaseSync('');
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;');
  makeTables(db);
  return db;
}

/** In place of all that there are. */
export function makeTables(db: DatabaseSync): void {
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

export function makeIndexes(db: DatabaseSync): void {
  db.exec(indexes);
}

/** Those that {@link makeIndexes} makes. */
export function dropIndexes(db: DatabaseSync): void {
  const names = indexes.matchAll(/INDEX IF NOT EXISTS (\w+)/g);
  db.exec(Array.from(names, ([, name]) => `DROP INDEX IF EXISTS ${name};`).join(''));
}

/** Looks at the whole file, which takes too long to be done without a reason, and removes it where it is damaged. Nobody may have it open. */
export function removeIfDamaged(file: string): void {
  if (existsSync(file) && !isIntact(file)) remove(file);
}

function isIntact(file: string): boolean {
  const db = new DatabaseSync(file, { open: false });
  try {
    db.open();
    return db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check'] === 'ok';
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  } finally {
    if (db.isOpen) db.close();
  }
}

function remove(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true });
}

/** The database in `file`, or undefined when there is none that this version of the code has built. */
function openCurrent(file: string, { readOnly = false } = {}): DatabaseSync | undefined {
  if (!existsSync(file)) return undefined;
  const db = new DatabaseSync(file, { open: false, readOnly });
  try {
    db.open();
    if (db.prepare('PRAGMA user_version').get()?.['user_version'] === readModelVersion) {
      db.exec('SELECT 1 FROM checkpoint');
      return readOnly ? db : configured(db);
    }
    db.close();
  } catch {
    // Damaged: mended by building it anew.
    if (db.isOpen) db.close();
  }
  return undefined;
}

function createAnew(file: string): DatabaseSync {
  remove(file);
  closeSync(openSync(file, 'wx', 0o600));
  const db = configured(new DatabaseSync(file));
  makeTables(db);
  return db;
}

/**
 * What a crash of the machine takes from this file is read from the log again: no need to wait for the disk. What is deleted
 * is overwritten: it may be what was known of a user that is erased.
 */
function configured(db: DatabaseSync): DatabaseSync {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;');
  return db;
}
