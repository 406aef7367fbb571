import { parentPort, workerData } from 'node:worker_threads';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import { storedEvents } from '../eventstore/sqlite/stored-events.ts';
import { linkOfStored } from './chain-link.ts';
import { LogTree } from './log-tree.ts';
import type { VerifyWorkerData, VerifyWorkerMessage } from './verify-log.ts';
import { verifyRange } from './verify-range.ts';

/** The thread's side of `verifyLog`: checks one part of the log, and reports. */
const { file, treeFolder, after, until } = workerData as VerifyWorkerData;
const report = (message: VerifyWorkerMessage) => parentPort?.postMessage(message);

const eventStore = openSqliteEventStore({ file, readOnly: true });
const tree = treeFolder === undefined ? undefined : LogTree.openReadOnly(treeFolder);
const verified = await verifyRange(eventStore, {
  after,
  until,
  source: { batches: storedEvents(file, after, until), linkOf: linkOfStored },
  tree,
  onProgress: (progress) => report({ progress }),
});
tree?.close();
await eventStore.close();
report({ verified });
