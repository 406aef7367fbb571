import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { MasterKeys } from '../application/master-keys.ts';
import { openedLog, PersonalFields } from '../application/personal-fields.ts';
import { AuditError } from '../audit/audit-error.ts';
import type { AuditedLog } from '../audit/verify-log.ts';
import { DataDirectory } from '../data-directory.ts';
import { WrongWrappingKeyError } from '../eventstore/errors.ts';
import type { EventStoreDb } from '../eventstore/eventstoredb/eventstoredb-event-store.ts';
import type { PersonalKeys } from '../eventstore/personal-keys.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import {
  openSqlitePersonalKeys,
  type SqlitePersonalKeysOptions,
} from '../eventstore/sqlite/sqlite-personal-keys.ts';
import { personalKeysOptions, wrappingKeys } from '../personal-data.ts';
import { isExpected } from './expected-errors.ts';
import { masterKeyOf } from './settings.ts';
import { allocateYoung } from './young-allocation.ts';

/** The log of an instance that runs or is stopped: it is only read. */
export interface OpenedLog extends AuditedLog {
  readonly dataDirectory: DataDirectory;
  /** Where the log is in an event store of many nodes: the keys of its personal fields, which are there too. */
  readonly sharedKeys?: (wrappingKeys: readonly Uint8Array[]) => PersonalKeys;
}

/** The same, with its personal fields opened. */
export interface ReadableLog extends OpenedLog {
  readonly personalFields: PersonalFields;
  readonly personalKeys: SqlitePersonalKeysOptions | undefined;
  /** The log itself, for who hashes events. */
  readonly stored: OpenedLog;
}

export interface LogSettings {
  readonly dataDir: string;
  /** `sqlite`, in the data directory, or a connection string. */
  readonly eventStore: string;
}

export interface ReadableLogSettings extends LogSettings {
  readonly masterKey?: string | undefined;
}

/** Runs an audit command on the log of an instance. What the user can mend is told in one line, with status 1. */
export async function withAuditedLog(
  settings: LogSettings,
  run: (log: OpenedLog) => Promise<void>,
): Promise<void> {
  allocateYoung();
  await reportingErrors(async () => {
    const log = await openLog(settings);
    try {
      await run(log);
    } finally {
      await log.eventStore.close();
    }
  });
}

/** The same for a command that shows who users are. */
export async function withReadableLog(
  { masterKey, ...settings }: ReadableLogSettings,
  run: (log: ReadableLog) => Promise<void>,
): Promise<void> {
  await withAuditedLog(settings, async (stored) => {
    const { dataDirectory, sharedKeys } = stored;
    const masterKeys = await masterKeysOf(dataDirectory, masterKeyOf(masterKey));
    const personalKeys = sharedKeys === undefined ? keysInFile(dataDirectory, masterKeys) : undefined;
    const keys =
      sharedKeys?.(masterKeys ? wrappingKeys(masterKeys) : []) ??
      (personalKeys && openSqlitePersonalKeys(personalKeys));
    const personalFields = new PersonalFields(keys, false);
    try {
      if (masterKeys === undefined && sharedKeys !== undefined) await requireNoKeys(personalFields);
      const eventStore = openedLog(stored.eventStore, personalFields);
      await run({ ...stored, eventStore, personalFields, personalKeys, stored });
    } finally {
      keys?.close();
    }
  });
}

/** Undefined where none is known. None is made. */
async function masterKeysOf(
  dataDirectory: DataDirectory,
  masterKey: Uint8Array | undefined,
): Promise<MasterKeys | undefined> {
  if (masterKey === undefined && !dataDirectory.hasMasterKey) return undefined;
  return new MasterKeys(masterKey ?? (await dataDirectory.masterKey()));
}

/** Undefined for a log without keys: nothing is sealed in it. */
function keysInFile(
  dataDirectory: DataDirectory,
  masterKeys: MasterKeys | undefined,
): SqlitePersonalKeysOptions | undefined {
  if (!existsSync(dataDirectory.personalKeysFile)) return undefined;
  if (masterKeys === undefined) throw new AuditError(masterKeyNeeded);
  return { ...personalKeysOptions(dataDirectory, masterKeys), readOnly: true };
}

const masterKeyNeeded = 'to show who users are, the master key is needed: KEYTURN_MASTER_KEY (--master-key)';

/** A log of many nodes that an earlier version wrote is read without a master key. */
async function requireNoKeys(personalFields: PersonalFields): Promise<void> {
  const hasKeys = await personalFields.hasBegun().catch((error: unknown) => {
    if (error instanceof WrongWrappingKeyError) return true;
    throw error;
  });
  if (hasKeys) throw new AuditError(masterKeyNeeded);
}

async function openLog({ dataDir, eventStore }: LogSettings): Promise<OpenedLog> {
  const dataDirectory = new DataDirectory(resolve(dataDir), { create: false });
  const { eventsFile: file, logTreeFolder: treeFolder } = dataDirectory;
  if (eventStore !== 'sqlite') {
    const store = await openEventStoreDb(eventStore);
    const sharedKeys = (wrappingKeys: readonly Uint8Array[]) => store.personalKeys(wrappingKeys);
    return { eventStore: store, treeFolder, dataDirectory, sharedKeys };
  }
  if (!existsSync(file))
    throw new AuditError(`there is no event log at ${file}: name its folder with --data-dir`);
  return { eventStore: openSqliteEventStore({ file, readOnly: true }), file, treeFolder, dataDirectory };
}

/** Loads the client of EventStoreDB where it is used, and only there: that takes longer than many a command. */
export async function openEventStoreDb(connectionString: string): Promise<EventStoreDb> {
  const adapter = await import('../eventstore/eventstoredb/eventstoredb-event-store.ts');
  return adapter.openEventStoreDbEventStore({ connectionString });
}

/** @throws AuditError the log is not a file in the data directory; `instead` says what to do then */
export function requireEmbeddedStore({ eventStore }: LogSettings, instead: string): void {
  if (eventStore !== 'sqlite') throw new AuditError(`this is for the embedded event store only: ${instead}`);
}

export async function reportingErrors(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isExpected(error)) throw error;
    process.stderr.write(`keyturn: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** What the system refuses of a file is what the user can mend. */
export async function fileErrorsReported(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isOfFile = error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
    throw isOfFile ? new AuditError(error.message, { cause: error }) : error;
  }
}
