import { parentPort, workerData } from 'node:worker_threads';
import { eventCatalogue } from '../../domain/event-catalogue.ts';
import { type StoredEvent, storedEvents } from '../../eventstore/sqlite/stored-events.ts';
import { toLines } from './event-lines.ts';
import type { ReplayWorkerData, ReplayWorkerMessage } from './projected-batches.ts';

/** The thread's side of `projectedBatchesFromThread`: sends a batch for each that is asked for. */
const { file, types, after, until } = workerData as ReplayWorkerData;
const pages = storedEvents(file, after, until);

parentPort?.on('message', () => {
  const { done, value } = pages.next();
  parentPort?.postMessage(done ? 'end' : batchOf(value));
});

function batchOf(events: readonly StoredEvent[]): ReplayWorkerMessage {
  const last = events.at(-1) as StoredEvent;
  return {
    lines: events.filter(isProjected).map(toLines).join(''),
    checkpoint: {
      position: BigInt(last.position),
      stream: last.stream,
      revision: BigInt(last.revision),
      eventId: last.id,
    },
  };
}

/** One of a type that is not in the catalogue is not passed over: it ends the replay. */
function isProjected({ type }: StoredEvent): boolean {
  return types.has(type) || !Object.hasOwn(eventCatalogue, type);
}
