import type { EventStore } from '../../eventstore/event-store.ts';
import { headOf } from '../../eventstore/head.ts';
import type { SqlitePersonalKeysOptions } from '../../eventstore/sqlite/sqlite-personal-keys.ts';
import { type Checkpoint, ReadModel } from '../../projections/read-model.ts';
import { AuditError } from '../audit-error.ts';
import { type ProjectedRange, projectedBatches, projectedBatchesFromThread } from './projected-batches.ts';
import { type RowDifference, rowDifferences } from './row-differences.ts';

export interface ReplayedLog {
  /** With its personal fields opened. */
  readonly eventStore: EventStore;
  /** Where the log is a SQLite file: a thread of its own can then read it. */
  readonly file?: string | undefined;
  /** What that thread opens personal fields with. */
  readonly personalKeys?: SqlitePersonalKeysOptions | undefined;
}

export interface ReplayOptions {
  /** Stops after the batch at hand. What was built is kept, and the next replay goes on from there. */
  readonly signal?: AbortSignal;
  /** Told how far the log has been read, in positions. */
  readonly onProgress?: (position: number, head: number) => void;
}

/** In positions. Starting a thread does not pay below. */
const shortLog = 20_000n;
/** In positions: how much of the log shares a transaction. The more, the more often rows are written once instead of twice. */
const positionsInTransaction = 65_536n;

/**
 * Builds the read model in `file` from the log, or goes on where an earlier replay of the same log was stopped.
 *
 * @returns whether it has come to the log's end
 */
export async function replayInto(
  file: string,
  log: ReplayedLog,
  options: ReplayOptions = {},
): Promise<boolean> {
  const readModel = await ReadModel.openForReplay(file, log.eventStore);
  try {
    await replay(readModel, log, options);
    if (options.signal?.aborted) return false;
    readModel.finish();
    return true;
  } finally {
    readModel.close();
  }
}

/**
 * Compares the read model in `file`, as it is at one moment, with one that is built from the log up to the same event.
 *
 * @throws AuditError there is no read model of this version
 */
export async function* checkReadModel(
  file: string,
  log: ReplayedLog,
  options: ReplayOptions = {},
): AsyncGenerator<RowDifference> {
  const live = ReadModel.snapshot(file);
  if (live === undefined) throw new AuditError(`there is no read model of this version at ${file}`);
  const replayed = ReadModel.temporary();
  try {
    await replay(replayed, log, options, live.checkpoint()?.position ?? 0n);
    if (!options.signal?.aborted) yield* rowDifferences(live.tables(), replayed.tables());
  } finally {
    replayed.close();
    live.close();
  }
}

async function replay(
  readModel: ReadModel,
  { eventStore, file, personalKeys }: ReplayedLog,
  { signal, onProgress }: ReplayOptions,
  until?: bigint,
): Promise<void> {
  const head = until ?? (await headOf(eventStore));
  const after = readModel.checkpoint()?.position ?? 0n;
  const range: ProjectedRange = {
    types: readModel.eventTypes,
    after,
    ...(until !== undefined && { until }),
    ...(signal && { signal }),
  };
  const batches =
    file === undefined || head - after < shortLog
      ? projectedBatches(eventStore, range)
      : projectedBatchesFromThread(file, personalKeys, range);
  let committed = after;
  let last: Checkpoint | undefined;
  for await (const { events, checkpoint } of batches) {
    readModel.project(events);
    last = checkpoint;
    if (checkpoint.position - committed >= positionsInTransaction) {
      readModel.commit(checkpoint);
      committed = checkpoint.position;
    }
    onProgress?.(Number(checkpoint.position), Number(head));
  }
  if (last !== undefined && last.position > committed) readModel.commit(last);
}
