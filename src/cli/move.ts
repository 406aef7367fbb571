import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { AuditError } from '../audit/audit-error.ts';
import { exportLog } from '../audit/export.ts';
import { importLog } from '../audit/import.ts';
import { DataDirectory } from '../data-directory.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import type { SharedPersonalKeys } from '../eventstore/eventstoredb/eventstoredb-personal-keys.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import { fileErrorsReported, type LogSettings, openEventStoreDb, reportingErrors } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { addPersonalKeys, addSharedPersonalKeys, savePersonalKeys } from './personal-keys.ts';

/** Writes all events of a store to a file. */
export async function moveOut({ output, ...settings }: LogSettings & { output: string }): Promise<void> {
  await reportingErrors(() => fileErrorsReported(() => exportTo(output, settings)));
}

/** Writes the events of a file to an empty store. */
export async function moveIn({ input, ...settings }: LogSettings & { input: string }): Promise<void> {
  await reportingErrors(() => fileErrorsReported(() => importFrom(input, settings)));
}

async function exportTo(file: string, settings: LogSettings): Promise<void> {
  const { eventStore, sharedKeys } = await openSource(settings);
  const progress = eventProgress('exporting', 'positions');
  try {
    const events = await exportLog(eventStore, file, { onProgress: progress.update });
    progress.stop();
    await savePersonalKeys(settings.dataDir, file, sharedKeys);
    process.stdout.write(`exported ${events} events to ${file}\n`);
  } finally {
    progress.stop();
    await eventStore.close();
  }
}

async function importFrom(file: string, settings: LogSettings): Promise<void> {
  if (!existsSync(file)) throw new AuditError(`there is no file ${file}`);
  const { eventStore, sharedKeys } = await openTarget(settings);
  const progress = eventProgress('importing');
  try {
    // What is there already may be of another instance, and is kept.
    if (sharedKeys === undefined) addPersonalKeys(settings.dataDir, file, 'file');
    else await addSharedPersonalKeys(sharedKeys, file);
    const { events, found } = await importLog(eventStore, file, { onProgress: progress.update });
    progress.stop();
    const before = found === 0 ? '' : `, ${found} of them from before`;
    process.stdout.write(`imported ${events} events from ${file}${before}\n`);
  } finally {
    progress.stop();
    await eventStore.close();
  }
}

interface OpenedStore {
  readonly eventStore: EventStore;
  /** Of an event store of many nodes: as they are stored, no master key is needed to copy them. */
  readonly sharedKeys?: SharedPersonalKeys;
}

/** Only reads, also while Keyturn runs. */
async function openSource({ dataDir, eventStore }: LogSettings): Promise<OpenedStore> {
  if (eventStore !== 'sqlite') return openShared(eventStore);
  const { eventsFile: file } = new DataDirectory(resolve(dataDir), { create: false });
  if (!existsSync(file))
    throw new AuditError(`there is no event log at ${file}: name its folder with --data-dir`);
  return { eventStore: openSqliteEventStore({ file, readOnly: true }) };
}

async function openTarget({ dataDir, eventStore }: LogSettings): Promise<OpenedStore> {
  if (eventStore !== 'sqlite') return openShared(eventStore);
  return { eventStore: openSqliteEventStore({ file: new DataDirectory(resolve(dataDir)).eventsFile }) };
}

async function openShared(connectionString: string): Promise<OpenedStore> {
  const eventStore = await openEventStoreDb(connectionString);
  return { eventStore, sharedKeys: eventStore.personalKeys([]) };
}
