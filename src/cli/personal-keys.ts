import { existsSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { DataDirectory } from '../data-directory.ts';
import type { SharedPersonalKeys } from '../eventstore/eventstoredb/eventstoredb-personal-keys.ts';
import { backUpPersonalKeys, writePersonalKeys } from '../eventstore/sqlite/backup.ts';
import { mergePersonalKeys, storedPersonalKeys } from '../eventstore/sqlite/sqlite-personal-keys.ts';

/** Where the keys are that belong to a copy of a log. A file of its own: it may be kept for a shorter time. */
const keysBeside = (copy: string) => `${resolve(copy)}.personal-keys`;

/**
 * Writes the keys of an instance beside a copy of its log, in the place of those from before. It comes after the copy: so no
 * key is missing.
 *
 * @param shared those in an event store of many nodes
 */
export async function savePersonalKeys(
  dataDir: string,
  copy: string,
  shared?: SharedPersonalKeys,
): Promise<void> {
  const { personalKeysFile } = new DataDirectory(resolve(dataDir), { create: false });
  const keys = await shared?.stored();
  if (keys === undefined ? !existsSync(personalKeysFile) : keys.length === 0) return;
  rmSync(keysBeside(copy), { force: true });
  if (keys === undefined) await backUpPersonalKeys(personalKeysFile, keysBeside(copy));
  else await writePersonalKeys(keys, keysBeside(copy));
}

/**
 * Adds the keys beside a copy of a log to those of an instance. It comes before the log: so no key is missing.
 *
 * @param winner whose key is kept where both have one
 */
export function addPersonalKeys(dataDir: string, copy: string, winner: 'file' | 'backup'): void {
  if (!existsSync(keysBeside(copy))) return;
  mergePersonalKeys(new DataDirectory(resolve(dataDir)).personalKeysFile, keysBeside(copy), winner);
}

/** The same for the keys in an event store of many nodes: what is there is kept. */
export async function addSharedPersonalKeys(shared: SharedPersonalKeys, copy: string): Promise<void> {
  if (existsSync(keysBeside(copy))) await shared.add(storedPersonalKeys(keysBeside(copy)));
}
