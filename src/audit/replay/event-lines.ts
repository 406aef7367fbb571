import { idOfStream } from '../../domain/aggregates.ts';
import { type KeyturnEvent, readStoredData, readStoredMetadata } from '../../domain/event-catalogue.ts';
import type { Editor } from '../../domain/event-metadata.ts';
import { parsedJson, type StoredEvent } from '../../eventstore/sqlite/stored-events.ts';
import type { Projected } from '../../projections/projection.ts';

/**
 * Events on their way from the thread that reads them to the one that projects them, as text, which crosses in a
 * fraction of the time of objects. An event is two lines of JSON: what is around its data, and the data as they are stored.
 * So each thread parses and checks a part.
 */

type Envelope = readonly [
  type: string,
  stream: string,
  revision: number,
  position: number,
  schemaVersion: number,
  occurredAt: string,
  editor: Editor,
];

/**
 * @throws UnreadableEventError the metadata are not JSON
 * @throws EventSchemaError the metadata are not those of an event of Keyturn
 */
export function toLines(event: StoredEvent): string {
  const { id, type, stream, revision, position, data } = event;
  const metadata = parsedJson(event.metadata, event);
  const { schemaVersion, occurredAt, editor } = readStoredMetadata({ id, type, metadata });
  const envelope: Envelope = [type, stream, revision, position, schemaVersion, occurredAt, editor];
  // Only what somebody else wrote into the file has line breaks.
  const line = data.includes('\n') ? JSON.stringify(parsedJson(data, event)) : data;
  return `${JSON.stringify(envelope)}\n${line}\n`;
}

/**
 * @param lines of any number of events
 * @throws UnreadableEventError the data are not JSON
 * @throws EventSchemaError the data are not those of an event of Keyturn
 */
export function fromLines(lines: string): Projected<KeyturnEvent>[] {
  const each = lines.split('\n');
  const events: Projected<KeyturnEvent>[] = [];
  for (let line = 0; line + 1 < each.length; line += 2) {
    const envelope = JSON.parse(each[line] as string) as Envelope;
    const [type, stream, revision, position, schemaVersion, occurredAt, editor] = envelope;
    const data = parsedJson(each[line + 1] as string, { stream, revision, position });
    events.push({
      ...readStoredData(type, data as Record<string, unknown>, schemaVersion),
      occurredAt,
      editor,
      aggregateId: idOfStream(stream),
      streamVersion: BigInt(revision) + 1n,
    });
  }
  return events;
}
