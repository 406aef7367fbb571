import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import { AuditError } from '../audit/audit-error.ts';
import { exportLog } from '../audit/export.ts';
import { importLog } from '../audit/import.ts';
import { DataDirectory } from '../data-directory.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { openEventStoreDbEventStore } from '../eventstore/eventstoredb/eventstoredb-event-store.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import { fileErrorsReported, reportingErrors } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { serveOptions } from './settings.ts';

interface MoveSettings {
  readonly dataDir: string;
  readonly eventStore: string;
}

/** Commands that carry all events from one event store to another, by way of a file. */
export function addMoveCommands(program: Command): void {
  program
    .command('export')
    .description('write all events to a file; one that is there from before is continued')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--output <file>', 'file to write').makeOptionMandatory())
    .action(({ output, ...settings }) =>
      reportingErrors(() => fileErrorsReported(() => exportTo(output, settings))),
    );

  program
    .command('import')
    .description('write the events of a file to an empty event store; one that was cut off is finished')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--input <file>', 'file to read').makeOptionMandatory())
    .action(({ input, ...settings }) =>
      reportingErrors(() => fileErrorsReported(() => importFrom(input, settings))),
    );
}

async function exportTo(file: string, settings: MoveSettings): Promise<void> {
  const eventStore = openSource(settings);
  const progress = eventProgress('exporting', 'positions');
  try {
    const events = await exportLog(eventStore, file, { onProgress: progress.update });
    progress.stop();
    process.stdout.write(`exported ${events} events to ${file}\n`);
  } finally {
    progress.stop();
    await eventStore.close();
  }
}

async function importFrom(file: string, settings: MoveSettings): Promise<void> {
  if (!existsSync(file)) throw new AuditError(`there is no file ${file}`);
  const eventStore = openTarget(settings);
  const progress = eventProgress('importing');
  try {
    const { events, found } = await importLog(eventStore, file, { onProgress: progress.update });
    progress.stop();
    const before = found === 0 ? '' : `, ${found} of them from before`;
    process.stdout.write(`imported ${events} events from ${file}${before}\n`);
  } finally {
    progress.stop();
    await eventStore.close();
  }
}

/** Only reads, also while Keyturn runs. */
function openSource({ dataDir, eventStore }: MoveSettings): EventStore {
  if (eventStore !== 'sqlite') return openEventStoreDbEventStore({ connectionString: eventStore });
  const { eventsFile: file } = new DataDirectory(resolve(dataDir), { create: false });
  if (!existsSync(file))
    throw new AuditError(`there is no event log at ${file}: name its folder with --data-dir`);
  return openSqliteEventStore({ file, readOnly: true });
}

function openTarget({ dataDir, eventStore }: MoveSettings): EventStore {
  if (eventStore !== 'sqlite') return openEventStoreDbEventStore({ connectionString: eventStore });
  return openSqliteEventStore({ file: new DataDirectory(resolve(dataDir)).eventsFile });
}
