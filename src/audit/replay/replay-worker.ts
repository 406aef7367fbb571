import { parentPort, workerData } from 'node:worker_threads';
import { openSqliteEventStore } from '../../eventstore/sqlite/sqlite-event-store.ts';
import {
  projectedBatches,
  type ReplayWorkerData,
  type ReplayWorkerMessage,
  toJson,
} from './projected-batches.ts';

/** The thread's side of `projectedBatchesFromThread`: sends a batch for each that is asked for. */
const { file, types, after, until } = workerData as ReplayWorkerData;
const eventStore = openSqliteEventStore({ file, readOnly: true });
const batches = projectedBatches(eventStore, { types, after, ...(until !== undefined && { until }) });
let sending = Promise.resolve();

parentPort?.on('message', () => {
  sending = sending.then(async () => {
    const { done, value } = await batches.next();
    const message: ReplayWorkerMessage = done ? 'end' : { batch: toJson(value) };
    parentPort?.postMessage(message);
  });
});
