import { on } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { KeyturnEvent } from '../../domain/event-catalogue.ts';
import type { EventStore } from '../../eventstore/event-store.ts';
import type { SqlitePersonalKeysOptions } from '../../eventstore/sqlite/sqlite-personal-keys.ts';
import type { Projected } from '../../projections/projection.ts';
import { type Checkpoint, checkpointAt, projectedEvents } from '../../projections/read-model.ts';
import { type LogRange, logBatches } from '../log-batches.ts';
import { fromLines } from './event-lines.ts';

/** Events of the log as projections see them, and where the last event that was read stands. */
export interface ProjectedBatch {
  readonly events: readonly Projected<KeyturnEvent>[];
  readonly checkpoint: Checkpoint;
}

export interface ProjectedRange extends LogRange {
  readonly types: ReadonlySet<string>;
}

/** Reads and checks events in this thread. */
export async function* projectedBatches(
  eventStore: EventStore,
  { types, ...range }: ProjectedRange,
): AsyncGenerator<ProjectedBatch> {
  for await (const events of logBatches(eventStore, range)) {
    const last = events.at(-1);
    if (last !== undefined) yield { events: projectedEvents(events, types), checkpoint: checkpointAt(last) };
  }
}

/** What the thread of its own is given. */
export interface ReplayWorkerData {
  readonly file: string;
  readonly personalKeys: SqlitePersonalKeysOptions | undefined;
  readonly types: ReadonlySet<string>;
  readonly after: bigint;
  readonly until: bigint | undefined;
}

/** From the thread, for each batch that was asked for: the batch, its events as `toLines` writes them, or the end. */
export type ReplayWorkerMessage = { readonly lines: string; readonly checkpoint: Checkpoint } | 'end';

/** How many batches the thread may be ahead: enough to keep both busy, few enough for flat memory. */
const batchesAhead = 8;

/**
 * The same by a thread of its own, so that reading and a part of the checks go on while this one does the rest and writes.
 *
 * @param file of a SQLite event log
 * @param personalKeys what its personal fields are opened with
 */
export async function* projectedBatchesFromThread(
  file: string,
  personalKeys: SqlitePersonalKeysOptions | undefined,
  { types, after = 0n, until, signal }: ProjectedRange,
): AsyncGenerator<ProjectedBatch> {
  const script = new URL(`./replay-worker${extname(import.meta.filename)}`, import.meta.url);
  const workerData: ReplayWorkerData = { file, personalKeys, types, after, until };
  const worker = new Worker(script, { workerData });
  try {
    const messages = on(worker, 'message') as AsyncIterable<[ReplayWorkerMessage]>;
    for (let ahead = 0; ahead < batchesAhead; ahead++) worker.postMessage('more');
    for await (const [message] of messages) {
      if (message === 'end' || signal?.aborted) return;
      worker.postMessage('more');
      yield { events: fromLines(message.lines), checkpoint: message.checkpoint };
    }
  } finally {
    await worker.terminate();
  }
}
