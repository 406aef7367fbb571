import { chmodSync, copyFileSync, existsSync, linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { syncToDisk } from './sync-to-disk.ts';

/**
 * Puts the event log `replacement` in the place of the one in `file` in one step: after a crash there is the old one or the
 * new one, never none. The old log, where there is one, stays in the folder `aside`, which is made when there is none.
 *
 * The caller holds the writer lock of `file`, and `replacement` is in the same folder, without a write-ahead log.
 */
export function replaceEventLog(file: string, replacement: string, aside: string): void {
  chmodSync(replacement, 0o600);
  syncToDisk(replacement);
  if (existsSync(file)) keepAside(file, aside);
  renameSync(replacement, file);
  syncToDisk(dirname(file));
}

function keepAside(file: string, aside: string): void {
  mkdirSync(aside, { recursive: true, mode: 0o700 });
  const [log, walFile] = [file, `${file}-wal`].map((one) => join(aside, basename(one))) as [string, string];
  if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, walFile);
  if (foldWriteAheadLog(file)) rmSync(walFile, { force: true });
  // A second name, not another: the log stays where it is until the new one takes its place.
  linkSync(file, log);
  syncToDisk(aside);
  syncToDisk(dirname(aside));
  // A write-ahead log that stayed would be read as that of the new log.
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
}

/** @returns whether the file is complete by itself now; one that is damaged is not */
function foldWriteAheadLog(file: string): boolean {
  try {
    const db = new DatabaseSync(file);
    try {
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      return true;
    } finally {
      db.close();
    }
  } catch {
    return false;
  }
}
