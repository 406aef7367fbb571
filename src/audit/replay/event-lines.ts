import {
  eventCatalogue,
  type KeyturnEvent,
  readStoredData,
  readStoredMetadata,
} from '../../domain/event-catalogue.ts';
import type { EventMetadata } from '../../domain/event-metadata.ts';
import { writtenMetadata } from '../../domain/written-metadata.ts';
import type { RecordedEvent } from '../../eventstore/event-store.ts';
import { parsedJson, type StoredEvent } from '../../eventstore/sqlite/stored-events.ts';
import { type Projected, toProjected } from '../../projections/projection.ts';
import type { Checkpoint } from '../../projections/read-model.ts';

/**
 * Events on their way from the thread that reads them to the one that projects them, as text, which crosses in a
 * fraction of the time of objects. An event is two lines of JSON: what is around its data, and the data as they are stored.
 * So each thread parses and checks a part.
 */
export interface EventLines {
  /** Of any number of events. */
  readonly lines: string;
  /** Of the last event that was read, whether it is among them or not. */
  readonly checkpoint: Checkpoint;
}

type Envelope = readonly [
  type: number | string,
  stream: string,
  revision: number,
  position: number,
  schemaVersion: number,
  occurredAt: string,
];

/** Types cross as their place here: a text would be made, and looked up, anew for each event. One that is not here crosses as it is. */
const types = Object.keys(eventCatalogue);
const placeOfType: ReadonlyMap<string, number> = new Map(types.map((type, place) => [type, place]));

/** Where an event stands, whichever type its reader has for numbers. */
type Place = Pick<RecordedEvent, 'id' | 'type' | 'stream'> & {
  readonly revision: bigint | number;
  readonly position: bigint | number;
};

/**
 * In characters. A longer text is not made among the young objects of a heap, and many of them pile up until all of the heap is
 * collected; shorter ones are more messages, which cost more than their text.
 */
const longestLines = 90_000;

/**
 * The events of the types `projected` as lines, in pieces that are bounded by their length, however many events a page has.
 *
 * @param toLines gives those of one event
 */
export async function* eventLines<Event extends Place>(
  pages: Iterable<readonly Event[]> | AsyncIterable<readonly Event[]>,
  projected: ReadonlySet<string>,
  toLines: (event: Event) => string | Promise<string>,
): AsyncGenerator<EventLines> {
  for await (const page of pages) {
    let lines = '';
    for (const event of page) {
      if (isProjected(event, projected)) {
        const ofEvent = toLines(event);
        lines += typeof ofEvent === 'string' ? ofEvent : await ofEvent;
      }
      if (lines.length < longestLines && event !== page.at(-1)) continue;
      yield { lines, checkpoint: checkpointOf(event) };
      lines = '';
    }
  }
}

/** One of a type that is not in the catalogue is not passed over: it ends the replay. */
function isProjected({ type }: Place, projected: ReadonlySet<string>): boolean {
  return projected.has(type) || !placeOfType.has(type);
}

function checkpointOf({ position, stream, revision, id }: Place): Checkpoint {
  return { position: BigInt(position), stream, revision: BigInt(revision), eventId: id };
}

/**
 * @throws UnreadableEventError the metadata are not JSON
 * @throws EventSchemaError the metadata are not those of an event of Keyturn
 */
export function linesOfStored(event: StoredEvent): string {
  const { id, type, data, metadata } = event;
  const head =
    writtenMetadata(metadata) ?? readStoredMetadata({ id, type, metadata: parsedJson(metadata, event) });
  // Only what somebody else wrote into the file has line breaks.
  return linesOf(event, head, data.includes('\n') ? JSON.stringify(parsedJson(data, event)) : data);
}

/** @throws EventSchemaError the metadata are not those of an event of Keyturn */
export function linesOfRecorded(event: RecordedEvent): string {
  return linesOf(event, readStoredMetadata(event), JSON.stringify(event.data));
}

/** Put together by hand, which takes a third of the time: a checked date needs no escape. */
function linesOf(
  { type, stream, revision, position }: Place,
  { schemaVersion, occurredAt }: Pick<EventMetadata, 'schemaVersion' | 'occurredAt'>,
  data: string,
): string {
  const what = placeOfType.get(type) ?? JSON.stringify(type);
  const where = `${JSON.stringify(stream)},${revision},${position}`;
  return `[${what},${where},${schemaVersion},"${occurredAt}"]\n${data}\n`;
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
    const [place, stream, revision, position, schemaVersion, occurredAt] = envelope;
    const type = typeof place === 'number' ? (types[place] as string) : place;
    const data = parsedJson(each[line + 1] as string, { stream, revision, position });
    const event = readStoredData(type, data as Record<string, unknown>, schemaVersion);
    events.push(toProjected(event, { occurredAt, stream, streamVersion: BigInt(revision + 1) }));
  }
  return events;
}
