import { renameSync, rmSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AuditError } from '../audit/audit-error.ts';
import { customProjectionOf, replayProjection } from '../audit/replay/custom-projection.ts';
import { checkReadModel, replayInto } from '../audit/replay/replay.ts';
import type { DataDirectory } from '../data-directory.ts';
import { EventStoreUnusableError } from '../eventstore/errors.ts';
import { headOf } from '../eventstore/head.ts';
import { syncToDisk } from '../eventstore/sqlite/sync-to-disk.ts';
import { acquireWriterLock } from '../eventstore/sqlite/writer-lock.ts';
import { type ReadableLog, requireEmbeddedStore, withReadableLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { toJson } from './output.ts';

export interface ReplaySettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly check?: true | undefined;
  readonly projection?: string | undefined;
}

/** As a shell says that a program was ended by ctrl-C. */
const interruptedStatus = 130;

/** Builds the read model anew beside the live one and swaps it in, or compares the two, or runs a projection of one's own. */
export async function replay(settings: ReplaySettings): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  try {
    await withReadableLog(settings, async (log) => {
      if (settings.projection !== undefined)
        await runProjection(log, settings.projection, interrupted.signal);
      else if (settings.check) await check(log, interrupted.signal);
      else {
        requireEmbeddedStore(settings, 'stop the node, delete its read-model.db, and start it');
        await rebuild(log, interrupted.signal);
      }
    });
  } finally {
    process.off('SIGINT', interrupt);
  }
}

async function rebuild(log: ReadableLog, signal: AbortSignal): Promise<void> {
  const { readModelFile } = log.dataDirectory;
  const besides = `${readModelFile}.replay`;
  const build = async () => {
    const progress = eventProgress('replaying');
    try {
      return await replayInto(besides, log, { signal, onProgress: progress.update });
    } finally {
      progress.stop();
    }
  };
  if (!(await build())) {
    say('stopped; the next replay goes on from here');
    process.exitCode = interruptedStatus;
    return;
  }
  const release = lockInstance(log.dataDirectory);
  try {
    // What was written until the lock was held.
    await build();
    for (const suffix of ['-wal', '-shm']) rmSync(readModelFile + suffix, { force: true });
    // It was built without waiting for the disk.
    syncToDisk(besides);
    renameSync(besides, readModelFile);
    syncToDisk(dirname(readModelFile));
  } finally {
    release();
  }
  say(`the read model is built anew from ${await headOf(log.eventStore)} positions of the log`);
}

/** Throws {@link AuditError} while an instance runs: the file that it has open cannot be replaced under it. */
function lockInstance({ eventsFile, readModelFile }: DataDirectory): () => void {
  try {
    const lock = acquireWriterLock(eventsFile);
    return () => lock.release();
  } catch (error) {
    if (!(error instanceof EventStoreUnusableError)) throw error;
    throw new AuditError(
      `${error.message}. The new read model is ready in ${basename(readModelFile)}.replay: stop the instance, and run the replay again to swap it in`,
    );
  }
}

/** Differences as NDJSON on standard output; status 1 when there are any. */
async function check(log: ReadableLog, signal: AbortSignal): Promise<void> {
  const progress = eventProgress('replaying');
  let differences = 0;
  const options = { signal, onProgress: progress.update };
  try {
    for await (const difference of checkReadModel(log.dataDirectory.readModelFile, log, options)) {
      progress.stop();
      differences++;
      process.stdout.write(`${toJson(difference)}\n`);
    }
  } finally {
    progress.stop();
  }
  if (signal.aborted) {
    say('stopped');
    process.exitCode = interruptedStatus;
    return;
  }
  say(differences === 0 ? 'the read model is as the log says, row by row' : `${differences} rows differ`);
  if (differences > 0) process.exitCode = 1;
}

async function runProjection({ eventStore }: ReadableLog, path: string, signal: AbortSignal): Promise<void> {
  const file = resolve(path);
  const projection = customProjectionOf(await importFile(file), path);
  const head = Number(await headOf(eventStore));
  const progress = eventProgress('replaying');
  const result = await replayProjection(eventStore, projection, {
    signal,
    onProgress: (position) => progress.update(position, head),
  }).finally(progress.stop);
  if (signal.aborted) {
    say('stopped');
    process.exitCode = interruptedStatus;
    return;
  }
  process.stdout.write(`${toJson(result, 2)}\n`);
}

async function importFile(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new AuditError(
      `${file} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
