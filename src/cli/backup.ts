import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { AuditError } from '../audit/audit-error.ts';
import { isIntact, verifyLog } from '../audit/verify-log.ts';
import { DataDirectory } from '../data-directory.ts';
import { backUpEventLog, backUpPersonalKeys } from '../eventstore/sqlite/backup.ts';
import { replaceEventLog } from '../eventstore/sqlite/replace-log.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import { acquireWriterLock } from '../eventstore/sqlite/writer-lock.ts';
import { fileErrorsReported, reportingErrors, requireEmbeddedStore, withAuditedLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { addPersonalKeys, savePersonalKeys } from './personal-keys.ts';
import { verificationText } from './verify.ts';

export interface BackupSettings {
  readonly dataDir: string;
  readonly eventStore: string;
}

/** Copies the log of a running or stopped instance into a new file, and the keys of its personal fields into one beside it. */
export async function backup(file: string, settings: BackupSettings): Promise<void> {
  await withAuditedLog(settings, async ({ dataDirectory }) => {
    requireEmbeddedStore(settings, 'back up the store itself, or use keyturn export');
    await fileErrorsReported(async () => {
      await backUpEventLog(dataDirectory.eventsFile, resolve(file));
      await savePersonalKeys(settings.dataDir, file);
    });
    say(`the log is backed up to ${file}. The master key is not in it: keep it too, apart from this`);
  });
}

export interface RestoreSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly replace?: true | undefined;
}

/** Puts a backup in the place of the log, when it is intact; else everything stays as it is. */
export async function restore(file: string, settings: RestoreSettings): Promise<void> {
  const { dataDir, replace } = settings;
  await reportingErrors(() =>
    fileErrorsReported(async () => {
      requireEmbeddedStore(settings, 'restore the store itself, or use keyturn import');
      if (!existsSync(file)) throw new AuditError(`there is no file ${file}`);
      const directory = new DataDirectory(resolve(dataDir));
      const { eventsFile } = directory;
      const lock = acquireWriterLock(eventsFile);
      try {
        if (existsSync(eventsFile) && !replace) {
          throw new AuditError(
            `${eventsFile} is there already: --replace keeps it aside and restores the backup`,
          );
        }
        const restored = `${eventsFile}.restoring`;
        try {
          copyFileSync(file, restored);
          await requireIntact(restored);
          const aside = `${eventsFile}.replaced-${new Date().toISOString().replaceAll(/[:.]/g, '')}`;
          await keepAside(directory, aside);
          // Before the log: the old one can do with more keys than it needs.
          addPersonalKeys(dataDir, file, 'backup');
          putInPlace(restored, directory, aside);
        } finally {
          for (const suffix of ['', '-wal', '-shm']) rmSync(restored + suffix, { force: true });
        }
        say(`the log is restored from ${file}`);
      } finally {
        lock.release();
      }
    }),
  );
}

/** Verifies the copy, prints the result, and throws when it is broken. */
async function requireIntact(file: string): Promise<void> {
  const eventStore = openSqliteEventStore({ file, readOnly: true });
  const progress = eventProgress('verifying');
  try {
    const verification = await verifyLog({ eventStore, file }, { onProgress: progress.update });
    progress.stop();
    process.stdout.write(verificationText(verification));
    if (!isIntact(verification)) throw new AuditError('the backup is not intact: nothing was changed');
  } finally {
    progress.stop();
    await eventStore.close();
  }
}

/**
 * The tree and the checkpoint of the old log are set aside with it: with them the instance would sign nothing for the log
 * that is restored, which lacks what came after the backup. They go before the log does: the old one can do without them.
 */
function putInPlace(
  restored: string,
  { eventsFile, readModelFile, logTreeFolder }: DataDirectory,
  aside: string,
): void {
  if (existsSync(logTreeFolder)) {
    mkdirSync(aside, { recursive: true, mode: 0o700 });
    renameSync(logTreeFolder, join(aside, basename(logTreeFolder)));
  }
  for (const suffix of ['', '-wal', '-shm']) rmSync(readModelFile + suffix, { force: true });
  replaceEventLog(eventsFile, restored, aside);
  if (existsSync(aside)) say(`the old log is kept in ${aside}`);
}

/** The keys of the log that goes, as they are: those of the backup take the place of some, and may be under another master key. */
async function keepAside({ personalKeysFile }: DataDirectory, aside: string): Promise<void> {
  if (!existsSync(personalKeysFile)) return;
  mkdirSync(aside, { mode: 0o700 });
  await backUpPersonalKeys(personalKeysFile, join(aside, basename(personalKeysFile)));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
