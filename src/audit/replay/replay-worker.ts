import { parentPort, workerData } from 'node:worker_threads';
import { PersonalFields } from '../../application/personal-fields.ts';
import { eventCatalogue } from '../../domain/event-catalogue.ts';
import type { JsonObject } from '../../eventstore/event-store.ts';
import { openSqlitePersonalKeys } from '../../eventstore/sqlite/sqlite-personal-keys.ts';
import { parsedJson, type StoredEvent, storedEvents } from '../../eventstore/sqlite/stored-events.ts';
import { toLines } from './event-lines.ts';
import type { ReplayWorkerData, ReplayWorkerMessage } from './projected-batches.ts';

/** The thread's side of `projectedBatchesFromThread`: sends a batch for each that is asked for. */
const { file, personalKeys, types, after, until } = workerData as ReplayWorkerData;
const pages = storedEvents(file, after, until);
const personalFields = new PersonalFields(personalKeys && openSqlitePersonalKeys(personalKeys));
let sending = Promise.resolve();

parentPort?.on('message', () => {
  sending = sending.then(async () => {
    const { done, value } = pages.next();
    parentPort?.postMessage(done ? 'end' : await batchOf(value));
  });
});

async function batchOf(events: readonly StoredEvent[]): Promise<ReplayWorkerMessage> {
  const last = events.at(-1) as StoredEvent;
  let lines = '';
  for (const event of events) {
    if (isProjected(event)) lines += toLines(mayBeSealed(event) ? await opened(event) : event);
  }
  return {
    lines,
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

/** Of most events, a look at the text tells that there is nothing to open. */
function mayBeSealed({ data }: StoredEvent): boolean {
  return data.includes('"sealed"');
}

async function opened(event: StoredEvent): Promise<StoredEvent> {
  const { data } = await personalFields.open({ ...event, data: parsedJson(event.data, event) as JsonObject });
  return { ...event, data: JSON.stringify(data) };
}
