import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { AuditError } from '../audit/audit-error.ts';
import type { AuditedLog } from '../audit/verify-log.ts';
import { DataDirectory } from '../data-directory.ts';
import { EventStoreUnavailableError, EventStoreUnusableError } from '../eventstore/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';

/** The log of an instance that runs or is stopped: it is only read. */
export interface OpenedLog extends AuditedLog {
  readonly dataDirectory: DataDirectory;
}

export interface LogSettings {
  readonly dataDir: string;
  /** `sqlite`, in the data directory, or a connection string. */
  readonly eventStore: string;
}

/** Runs an audit command on the log of an instance. What the user can mend is told in one line, with status 1. */
export async function withAuditedLog(
  settings: LogSettings,
  run: (log: OpenedLog) => Promise<void>,
): Promise<void> {
  await reportingErrors(async () => {
    const log = await openLog(settings);
    try {
      await run(log);
    } finally {
      await log.eventStore.close();
    }
  });
}

async function openLog({ dataDir, eventStore }: LogSettings): Promise<OpenedLog> {
  const dataDirectory = new DataDirectory(resolve(dataDir), { create: false });
  const { eventsFile: file, logTreeFolder: treeFolder } = dataDirectory;
  if (eventStore !== 'sqlite') {
    return { eventStore: await openEventStoreDb(eventStore), treeFolder, dataDirectory };
  }
  if (!existsSync(file))
    throw new AuditError(`there is no event log at ${file}: name its folder with --data-dir`);
  return { eventStore: openSqliteEventStore({ file, readOnly: true }), file, treeFolder, dataDirectory };
}

/** Loads the client of EventStoreDB where it is used, and only there: that takes longer than many a command. */
export async function openEventStoreDb(connectionString: string): Promise<EventStore> {
  const adapter = await import('../eventstore/eventstoredb/eventstoredb-event-store.ts');
  return adapter.openEventStoreDbEventStore({ connectionString });
}

/** @throws AuditError the log is not a file in the data directory; `instead` says what to do then */
export function requireEmbeddedStore({ eventStore }: LogSettings, instead: string): void {
  if (eventStore !== 'sqlite') throw new AuditError(`this is for the embedded event store only: ${instead}`);
}

const expectedErrors = [AuditError, EventStoreUnusableError, EventStoreUnavailableError];

export async function reportingErrors(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!expectedErrors.some((expected) => error instanceof expected)) throw error;
    process.stderr.write(`keyturn: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

/** What the system refuses of a file is what the user can mend. */
export async function fileErrorsReported(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isExpected = error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
    throw isExpected ? new AuditError(error.message, { cause: error }) : error;
  }
}
