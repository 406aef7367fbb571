import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { AuditError } from '../audit/audit-error.ts';
import type { AuditedLog } from '../audit/verify-log.ts';
import { DataDirectory } from '../data-directory.ts';
import { EventStoreUnavailableError, EventStoreUnusableError } from '../eventstore/errors.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';

/** The log of an instance that runs or is stopped: it is only read. */
export interface OpenedLog extends AuditedLog {
  readonly dataDirectory: DataDirectory;
}

/** Runs an audit command on the log in `dataDir`. What the user can mend is told in one line, with status 1. */
export async function withAuditedLog(
  { dataDir }: { readonly dataDir: string },
  run: (log: OpenedLog) => Promise<void>,
): Promise<void> {
  await reportingErrors(async () => {
    const dataDirectory = new DataDirectory(resolve(dataDir), { create: false });
    const { eventsFile: file, logTreeFolder: treeFolder } = dataDirectory;
    if (!existsSync(file))
      throw new AuditError(`there is no event log at ${file}: name its folder with --data-dir`);
    const eventStore = openSqliteEventStore({ file, readOnly: true });
    try {
      await run({ eventStore, file, treeFolder, dataDirectory });
    } finally {
      await eventStore.close();
    }
  });
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
