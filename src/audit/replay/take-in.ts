import type { Checkpoint, ReadModel } from '../../projections/read-model.ts';
import type { ProjectedBatch } from './projected-batches.ts';

/** A transaction ends when so much of the log was read, in positions, or so many rows wait to be written: those are in memory. */
const longestTransaction = { positions: 65_536n, rows: 32_768 } as const;

/** In milliseconds: how often somebody is told how far it is. A message to another thread costs as much as hundreds of events. */
const progressInterval = 100;

/**
 * Projects batches into a read model, many in a transaction. When there are no more, all of them are committed.
 *
 * @param onPosition told how far the log was read
 */
export async function takeIn(
  readModel: ReadModel,
  batches: AsyncIterable<ProjectedBatch>,
  onPosition: (position: bigint) => void,
): Promise<void> {
  let committed = readModel.checkpoint()?.position ?? 0n;
  let last: Checkpoint | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  for await (const { events, checkpoint } of batches) {
    readModel.project(events);
    last = checkpoint;
    if (
      checkpoint.position - committed >= longestTransaction.positions ||
      readModel.pendingRows >= longestTransaction.rows
    ) {
      readModel.commit(checkpoint);
      committed = checkpoint.position;
    }
    if (performance.now() - toldAt < progressInterval) continue;
    toldAt = performance.now();
    onPosition(checkpoint.position);
  }
  if (last === undefined) return;
  if (last.position > committed) readModel.commit(last);
  onPosition(last.position);
}
