import { workerData } from 'node:worker_threads';
import { PersonalFields } from '../../application/personal-fields.ts';
import type { JsonObject } from '../../eventstore/event-store.ts';
import { openSqlitePersonalKeys } from '../../eventstore/sqlite/sqlite-personal-keys.ts';
import { parsedJson, type StoredEvent, storedEvents } from '../../eventstore/sqlite/stored-events.ts';
import { eventLines, linesOfStored } from './event-lines.ts';
import { type ReplayReaderData, sendBatches } from './projected-batches.ts';

/** The thread of `openSource` that reads the file of a log. */
const { file, personalKeys, types, after, until, port } = workerData as ReplayReaderData;
const keys = personalKeys && openSqlitePersonalKeys(personalKeys);
const personalFields = new PersonalFields(keys);

const lines = eventLines(storedEvents(file, after, until), types, (event) =>
  mayBeSealed(event) ? opened(event).then(linesOfStored) : linesOfStored(event),
);
const isWhole = await sendBatches(port, lines);
keys?.close();
process.exitCode = isWhole ? 0 : 1;

/** Of most events, a look at the text tells that there is nothing to open. */
function mayBeSealed({ data }: StoredEvent): boolean {
  return data.includes('"sealed"');
}

async function opened(event: StoredEvent): Promise<StoredEvent> {
  const { data } = await personalFields.open({ ...event, data: parsedJson(event.data, event) as JsonObject });
  return { ...event, data: JSON.stringify(data) };
}
