import { existsSync, realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { EventStoreUnusableError } from '../errors.ts';
import { createPrivateFile } from './private-file.ts';

export interface WriterLock {
  release(): void;
}

/**
 * Makes this process the only writer of an event log. The lock is a write transaction on a small SQLite file
 * beside the log, held open: the operating system drops it when the process ends in whatever way, so nothing
 * stale is left, and other processes can still read who holds it.
 *
 * @throws EventStoreUnusableError another process is the writer; says which
 */
export function acquireWriterLock(logFile: string): WriterLock {
  const lockFile = `${realPathOf(logFile)}-lock`;
  createPrivateFile(lockFile);
  const db = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    // A rollback journal, not WAL: readers of the holder's row then need no write access.
    db.exec(`
      PRAGMA journal_mode = DELETE;
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS holder (pid INTEGER NOT NULL, host TEXT NOT NULL, since TEXT NOT NULL) STRICT;
      DELETE FROM holder;
    `);
    db.prepare('INSERT INTO holder VALUES (?, ?, ?)').run(process.pid, hostname(), new Date().toISOString());
    db.exec('COMMIT; BEGIN IMMEDIATE;');
  } catch (error) {
    const unusable = isLocked(error)
      ? new EventStoreUnusableError(`${logFile} is in use by ${describeHolder(db)}`, { cause: error })
      : error;
    db.close();
    throw unusable;
  }
  return { release: () => db.close() };
}

/** One log has one lock, by whichever link it is named. */
function realPathOf(file: string): string {
  return existsSync(file) ? realpathSync(file) : file;
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5;
}

function describeHolder(db: DatabaseSync): string {
  try {
    const holder = db.prepare('SELECT pid, host, since FROM holder').get();
    if (holder !== undefined) {
      return `another Keyturn: process ${holder['pid']} on ${holder['host']}, since ${holder['since']}`;
    }
  } catch {
    // Its row is being written at this very moment.
  }
  return 'another Keyturn that is just starting';
}
