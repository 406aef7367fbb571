import { randomUUID } from 'node:crypto';
import { closeSync, linkSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import type { StoredPersonalKey } from '../personal-keys.ts';
import { checkSchema } from './schema.ts';
import { storePersonalKeys } from './sqlite-personal-keys.ts';
import { syncToDisk } from './sync-to-disk.ts';

/** All pages in one step: what the writer commits meanwhile is not part of the copy, and does not start it over. */
const wholeFile = 2 ** 31 - 1;

/**
 * Copies an event log, as it is at one moment, into a new file, also while another process writes to it. The file is there,
 * whole and on the disk, when this returns, or not at all.
 *
 * @throws EventStoreUnusableError `file` is no event log of this version
 * @throws Error with code `EEXIST`: the target is there already
 */
export function backUpEventLog(file: string, target: string): Promise<void> {
  return backUp(file, target, (source) => checkSchema(source, file));
}

/** The same for the keys of personal fields. */
export function backUpPersonalKeys(file: string, target: string): Promise<void> {
  return backUp(file, target, () => {});
}

/** Writes keys as they are stored elsewhere into a new file of the same kind. */
export function writePersonalKeys(keys: Iterable<StoredPersonalKey>, target: string): Promise<void> {
  return placeWhole(target, (partial) => storePersonalKeys(partial, keys));
}

function backUp(file: string, target: string, check: (source: DatabaseSync) => void): Promise<void> {
  return placeWhole(target, async (partial) => {
    const source = new DatabaseSync(file, { readOnly: true });
    try {
      check(source);
      await backup(source, partial, { rate: wholeFile });
    } finally {
      source.close();
    }
  });
}

async function placeWhole(target: string, write: (partial: string) => Promise<void> | void): Promise<void> {
  // A name of its own: what a killed backup left behind is in nobody's way.
  const partial = `${target}.${randomUUID()}.partial`;
  closeSync(openSync(partial, 'wx', 0o600));
  try {
    await write(partial);
    // One file, without a write-ahead log beside it.
    const copy = new DatabaseSync(partial);
    copy.exec('PRAGMA journal_mode = DELETE');
    copy.close();
    syncToDisk(partial);
    // A link, not a renaming: that would replace a file which is there.
    linkSync(partial, target);
    syncToDisk(dirname(target));
  } finally {
    rmSync(partial, { force: true });
  }
}
