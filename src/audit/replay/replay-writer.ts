import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ReadModel } from '../../projections/read-model.ts';
import { receivedBatches } from './projected-batches.ts';
import { takeIn } from './take-in.ts';

/** What the thread that writes is given. */
export interface ReplayWriterData {
  /** Of the read model. */
  readonly file: string;
  readonly port: MessagePort;
}

/** How far the log is in the read model, as a position. */
export type ReplayWriterMessage = bigint;

/** The thread of `replayInto` that fills a read model. */
const { file, port } = workerData as ReplayWriterData;
const readModel = ReadModel.openForReplay(file);
let isWhole = false;
const batches = receivedBatches(port, () => {
  isWhole = true;
});
try {
  await takeIn(readModel, batches, (position: ReplayWriterMessage) => parentPort?.postMessage(position));
  if (isWhole) readModel.finish();
} finally {
  readModel.close();
}
