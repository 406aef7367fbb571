import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { headOf } from '../../eventstore/head.ts';
import { ReadModel } from '../../projections/read-model.ts';
import { AuditError } from '../audit-error.ts';
import {
  type BatchSource,
  batchesOf,
  openSource,
  type ProjectedRange,
  projectedBatches,
  type ReplayedLog,
  shortLog,
  youngMegabytes,
} from './projected-batches.ts';
import type { ReplayWriterData, ReplayWriterMessage } from './replay-writer.ts';
import { type RowDifference, rowDifferences } from './row-differences.ts';
import { takeIn } from './take-in.ts';

export interface ReplayOptions {
  /** Stops after the batch at hand. What was built is kept, and the next replay goes on from there. */
  readonly signal?: AbortSignal;
  /** Told how far the log has been read, in positions. */
  readonly onProgress?: (position: number, head: number) => void;
}

/** Far more than it needs: the nearer the limit, the sooner V8 collects what was in a transaction before. */
const oldMegabytesOfWriter = 256;

/**
 * Builds the read model in `file` from the log, or goes on where an earlier replay of the same log was stopped, also by a crash.
 * A long log is read and taken in by threads of their own: this one stays free.
 *
 * @returns whether it has come to the log's end
 */
export async function replayInto(
  file: string,
  log: ReplayedLog,
  { signal, onProgress }: ReplayOptions = {},
): Promise<boolean> {
  const readModel = ReadModel.openForReplay(file);
  try {
    await readModel.checkLog(log.eventStore);
    const head = await headOf(log.eventStore);
    const after = readModel.checkpoint()?.position ?? 0n;
    const range: ProjectedRange = { types: readModel.eventTypes, after, ...(signal && { signal }) };
    const onPosition = (position: bigint) => onProgress?.(Number(position), Number(head));
    if (head - after < shortLog) {
      await takeIn(readModel, projectedBatches(log.eventStore, range), onPosition);
      if (signal?.aborted) return false;
      readModel.finish();
      return true;
    }
    if (head - after > after) readModel.dropIndexes();
    readModel.close();
    return await takeInByThread(file, openSource(log, range), onPosition);
  } finally {
    readModel.close();
  }
}

async function takeInByThread(
  file: string,
  source: BatchSource,
  onPosition: (position: bigint) => void,
): Promise<boolean> {
  const script = new URL(`./replay-writer${extname(import.meta.filename)}`, import.meta.url);
  const workerData: ReplayWriterData = { file, port: source.port };
  const resourceLimits = {
    maxYoungGenerationSizeMb: youngMegabytes.writer,
    maxOldGenerationSizeMb: oldMegabytesOfWriter,
  };
  const writer = new Worker(script, { workerData, transferList: [source.port], resourceLimits });
  writer.on('message', (position: ReplayWriterMessage) => onPosition(position));
  const [read, written] = await Promise.allSettled([source.finished, once(writer, 'exit')]);
  if (read.status === 'rejected') throw read.reason;
  if (written.status === 'rejected') throw written.reason;
  return read.value;
}

/**
 * Compares the read model in `file`, as it is at one moment, with one that is built from the log up to the same event.
 *
 * @throws AuditError there is no read model of this version
 */
export async function* checkReadModel(
  file: string,
  log: ReplayedLog,
  { signal, onProgress }: ReplayOptions = {},
): AsyncGenerator<RowDifference> {
  const live = ReadModel.snapshot(file);
  if (live === undefined) throw new AuditError(`there is no read model of this version at ${file}`);
  const replayed = ReadModel.temporary();
  try {
    const until = live.checkpoint()?.position ?? 0n;
    const range = { types: replayed.eventTypes, until, ...(signal && { signal }) };
    const onPosition = (position: bigint) => onProgress?.(Number(position), Number(until));
    await takeIn(replayed, batchesOf(log, range), onPosition);
    if (!signal?.aborted) yield* rowDifferences(live.tables(), replayed.tables());
  } finally {
    replayed.close();
    live.close();
  }
}
