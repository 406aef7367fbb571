import { EventOwners, userOf } from '../application/event-owners.ts';
import { isSealed, PersonalFields } from '../application/personal-fields.ts';
import { EventSchemaError } from '../domain/event-schema.ts';
import type { EventStore, JsonObject } from '../eventstore/event-store.ts';
import type { PersonalKeys } from '../eventstore/personal-keys.ts';
import { openSqliteEventStore } from '../eventstore/sqlite/sqlite-event-store.ts';
import {
  openSqlitePersonalKeys,
  type SqlitePersonalKeysOptions,
} from '../eventstore/sqlite/sqlite-personal-keys.ts';
import { parsedJson, type StoredEvent, StoredLog } from '../eventstore/sqlite/stored-events.ts';
import { cloudEventOf, type PlacedEvent } from './cloud-event.ts';
import { type EventSelection, isSubjectSelected, isTypeSelected } from './feed-event.ts';
import { isBookkeeping, isPublishedEventType } from './published-events.ts';
import { type WrittenData, writtenCloudEvent, writtenData } from './written-cloud-event.ts';

/** Where a log lies. Plain data, so that a thread can be told. */
export interface StoredFeedOptions {
  /** Of a SQLite event log. */
  readonly file: string;
  /** What its personal fields are opened with. */
  readonly personalKeys: SqlitePersonalKeysOptions;
}

export interface StoredFeedRequest {
  /** Exclusive. */
  readonly after: bigint;
  /** Inclusive. What may be told ends here; the log holds it. */
  readonly until: bigint;
  readonly selection: EventSelection;
  readonly source: string;
}

/** The texts of events, and how far the log was read for them. */
export interface StoredFeedPart {
  readonly text: string;
  readonly position: bigint;
}

const pageSize = 32;
/** How many events are looked at for one part at most: what is selected may be rare, and others wait. */
const mostRead = 4096;
/**
 * In UTF-16 units: a part that is longer ends with its page. Where all of it is Latin-1, and events have their usual length, it stays below 128 KiB: a longer one is not made among the young objects of the heap, and
 * many of them pile up until all of the heap is collected.
 */
const longEnough = 104 * 1024;
/** There a part ends with the event. */
const tooLong = 1024 * 1024;

/**
 * Reads a log file as subscribers are told of it, without what a store and a feed do for others: for a thread of its own.
 *
 * Each event that is told is checked as everywhere: one that does not fit its schema, or is of a newer version, is an error.
 */
export class StoredFeed {
  readonly #log: StoredLog;
  readonly #eventStore: EventStore;
  readonly #owners: EventOwners;
  readonly #personalKeys: PersonalKeys;

  constructor({ file, personalKeys }: StoredFeedOptions) {
    this.#log = new StoredLog(file);
    this.#eventStore = openSqliteEventStore({ file, readOnly: true });
    this.#owners = new EventOwners(this.#eventStore);
    this.#personalKeys = openSqlitePersonalKeys({ ...personalKeys, readOnly: true });
  }

  /**
   * What is told next.
   *
   * @param textOf an event as it is sent
   */
  async read(
    request: StoredFeedRequest,
    textOf: (position: number, json: string) => string,
  ): Promise<StoredFeedPart> {
    const { after, until } = request;
    // Of this part alone: a key that is destroyed meanwhile opens nothing in the next one.
    let opener: Opener | undefined;
    const openerOfPart = () => (opener ??= this.#opener());
    let text = '';
    let position: bigint | number = after;
    for (let read = 0; read < mostRead && text.length < longEnough; read += pageSize) {
      const page = this.#log.read(position, until, pageSize);
      for (const stored of page) {
        const json = this.#jsonOf(stored, request, openerOfPart);
        const told = json instanceof Promise ? await json : json;
        position = stored.position;
        if (told !== undefined) text += textOf(position, told);
        if (text.length > tooLong) return { text, position: BigInt(position) };
      }
      if (page.length < pageSize) return { text, position: until };
    }
    return { text, position: BigInt(position) };
  }

  async close(): Promise<void> {
    this.#log.close();
    this.#personalKeys.close();
    await this.#eventStore.close();
  }

  /** Undefined for an event that is not selected. A promise only where something has to be looked up. */
  #jsonOf(
    stored: StoredEvent,
    request: StoredFeedRequest,
    opener: () => Opener,
  ): string | undefined | Promise<string | undefined> {
    const { stream, type } = stored;
    if (!isPublishedEventType(type) || !isTypeSelected(type, request.selection)) {
      return this.#passOver(stored);
    }
    const written = writtenData(type, stored.data);
    const event: EventOfLog = { stored, written, data: written?.about ?? dataOf(stored) };
    const organizationId = this.#owners.organizationOf({ stream, data: event.data });
    if (organizationId instanceof Promise) {
      return organizationId.then((found) => jsonOf(event, found, request, opener));
    }
    return jsonOf(event, organizationId, request, opener);
  }

  /** The log has the last word on who is erased: where a key could not be destroyed, it is there still. */
  #opener(): Opener {
    const personalFields = new PersonalFields(this.#personalKeys, false);
    const streams = new Set<string>();
    return (placed) => {
      const { stream } = placed;
      const erasure = streams.has(stream) ? undefined : this.#log.latest(stream, 'MachineUserErased');
      streams.add(stream);
      if (erasure !== undefined) {
        personalFields.forget({ stream, metadata: parsedJson(erasure.metadata, erasure) as JsonObject });
      }
      return personalFields.open(placed);
    };
  }

  /** What is not told may name the owner of what is. */
  #passOver(stored: StoredEvent): undefined {
    const { type, data } = stored;
    if (!isPublishedEventType(type) && !isBookkeeping(type))
      throw new EventSchemaError(`${type} is not an event type that this Keyturn knows: upgrade it`);
    if (!data.includes('"organizationId"')) return;
    this.#owners.learn({ stream: stored.stream, data: dataOf(stored) });
  }
}

/** Opens an event with sealed fields. */
type Opener = (placed: PlacedEvent) => Promise<PlacedEvent>;

interface EventOfLog {
  readonly stored: StoredEvent;
  /** Undefined where the data had to be parsed. */
  readonly written: WrittenData | undefined;
  /** What tells whom the event is about, at least. */
  readonly data: JsonObject;
}

function dataOf(stored: StoredEvent): JsonObject {
  return parsedJson(stored.data, stored) as JsonObject;
}

function jsonOf(
  { stored, written, data: about }: EventOfLog,
  organizationId: string | undefined,
  { selection, source }: StoredFeedRequest,
  opener: () => Opener,
): string | undefined | Promise<string> {
  const { stream, id, type } = stored;
  if (!isSubjectSelected({ organizationId, userId: userOf({ stream, data: about }) }, selection))
    return undefined;
  const context = { source, organizationId };
  const json = written && writtenCloudEvent(stored, written, context);
  if (json !== undefined) return json;
  const data = written === undefined ? about : dataOf(stored);
  const metadata = parsedJson(stored.metadata, stored) as JsonObject;
  const position = String(stored.position);
  const streamVersion = String(stored.revision + 1);
  const placed = { stream, id, type, data, metadata, position, streamVersion };
  if (!isSealed(placed)) return JSON.stringify(cloudEventOf(placed, context));
  return opener()(placed).then((opened) => JSON.stringify(cloudEventOf(opened, context)));
}
