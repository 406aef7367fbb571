import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { idOfStream } from '../domain/aggregates.ts';
import { eventCatalogue } from '../domain/event-catalogue.ts';
import type { EventSchemas } from '../domain/event-schema.ts';
import { EventStoreUnusableError } from '../eventstore/errors.ts';
import type { EventStore, Json, JsonObject, RecordedEvent } from '../eventstore/event-store.ts';
import type { PersonalKey, PersonalKeys } from '../eventstore/personal-keys.ts';
import { openBytes, sealBytes } from '../eventstore/sealed-bytes.ts';
import { untilReached } from '../eventstore/until-reached.ts';

/** An event with fields about the user whose stream it is in. */
type EventOfUser = Pick<RecordedEvent, 'id' | 'stream' | 'type' | 'data'>;

/** Of whom keys are kept in memory. */
const recentUsers = 10_000;
/** In bytes: a sealed text is as long as the next multiple, so that it does not tell how long the text is. */
const paddedTo = 32;
/** What the key is kept by that user names are hashed with, before any user is added: ids of users are never empty. */
const userNames = '';

/**
 * Seals the fields of events that tell who somebody is, before the events are hashed and stored, and opens them for who reads.
 * A hash, a proof and a copy of the log are of the sealed form, and so stay what they are when a key is destroyed.
 */
export class PersonalFields {
  readonly #isSealing: boolean;
  readonly #keys: PersonalKeys | undefined;
  readonly #recent = new LRUCache<string, PersonalKey>({ maxSize: recentUsers, sizeCalculation: () => 1 });
  /** Whose erasure this process has seen: none is forgotten, as the key may be there still. */
  readonly #erased = new Map<string, PersonalKey>();

  /**
   * @param keys without them nothing is sealed, and nothing that is sealed can be read
   * @param isSealing false: what is sealed is opened, and nothing else is sealed
   */
  constructor(keys?: PersonalKeys, isSealing = keys !== undefined) {
    this.#keys = keys;
    this.#isSealing = isSealing;
  }

  /** The event's data as it is stored. */
  async seal(event: EventOfUser): Promise<JsonObject> {
    const fields = personalFieldsOf(event.type).filter((field) => event.data[field] !== undefined);
    if (!this.#isSealing || fields.length === 0) return event.data;
    const key = await this.#keyFor(idOfStream(event.stream));
    const seal = (field: string): Json => {
      const text = padded(JSON.stringify(event.data[field]));
      return { sealed: sealBytes(key, text, contextOf(event, field)).toString('base64url') };
    };
    return { ...event.data, ...Object.fromEntries(fields.map((field) => [field, seal(field)])) };
  }

  /**
   * The event as it was before it was sealed. Fields that were erased say so, and since when.
   *
   * @throws EventStoreUnusableError the key of a user who was not erased is missing
   */
  async open<Event extends EventOfUser>(event: Event): Promise<Event> {
    const fields = sealedFieldsOf(event);
    if (fields.length === 0) return event;
    const userId = idOfStream(event.stream);
    const known = await this.#known(userId);
    if (known === undefined) throw unreadable(event, 'its key is not there');
    const open = (field: string): Json => {
      if ('erasedAt' in known) return `(erased ${known.erasedAt})`;
      const { sealed } = event.data[field] as { sealed: string };
      const text = openBytes(known.key, Buffer.from(sealed, 'base64url'), contextOf(event, field));
      if (text === undefined) throw unreadable(event, 'its key is another one, or the event was changed');
      return JSON.parse(text.toString());
    };
    const opened = Object.fromEntries(fields.map((field) => [field, open(field)]));
    return { ...event, data: { ...event.data, ...opened } };
  }

  /** Events in log order. A user's erasure is noted on the way, whoever has erased it. */
  async openAll(events: readonly RecordedEvent[]): Promise<RecordedEvent[]> {
    const users = new Set(events.filter(isSealed).map(({ stream }) => idOfStream(stream)));
    // Where nodes share the keys, each is asked for over the network.
    await Promise.all([...users].map((userId) => this.#known(userId)));
    const opened: RecordedEvent[] = [];
    for (const event of events) {
      opened.push(isSealed(event) ? await this.open(event) : event);
      if (event.type === 'MachineUserErased') this.forget(event);
    }
    return opened;
  }

  /** The name of a user name that does not give it away (HMAC-SHA-256); undefined where user names are stored as they are. */
  async hashUserName(normalized: string): Promise<string | undefined> {
    if (this.#keys === undefined) return undefined;
    const key = await this.#keyFor(userNames);
    return createHmac('sha256', key).update(normalized).digest('base64url');
  }

  /** Before anything is sealed or erased: keys that are under another master key are put under the current one. */
  async prepare(): Promise<void> {
    await this.#keys?.prepare();
  }

  /**
   * Whether there is the key that comes before that of any user.
   *
   * @throws WrongWrappingKeyError it is under another master key
   */
  async hasBegun(): Promise<boolean> {
    return (await this.#known(userNames)) !== undefined;
  }

  /** Makes that key, if it is not there yet. */
  async begin(): Promise<void> {
    await this.#keyFor(userNames);
  }

  /** `none`: nothing about the user was ever sealed. */
  async stateOf(userId: string): Promise<'none' | 'sealed' | 'erased'> {
    const known = await this.#known(userId);
    if (known === undefined) return 'none';
    return 'erasedAt' in known ? 'erased' : 'sealed';
  }

  /** Whether there is a key of the user still, also when nobody here is told its fields any more. */
  async hasKey(userId: string): Promise<boolean> {
    const known = await this.#keys?.keyOf(userId);
    return known !== undefined && 'key' in known;
  }

  /** The bytes of destroyed keys stay on disks until the store is scavenged. */
  get needsScavenge(): boolean {
    return this.#keys?.needsScavenge ?? false;
  }

  /** For good. Resolves once nobody can read the user's sealed fields any more. */
  async erase(userId: string, erasedAt: string): Promise<void> {
    try {
      await this.#keys?.destroy(userId, erasedAt);
    } finally {
      // Also when the key could not be destroyed: from the event on, nobody is told the fields any more.
      this.#erased.set(userId, { erasedAt });
      this.#recent.delete(userId);
    }
  }

  /**
   * The key may be there for a moment still, or until a crash is mended: nobody here uses it any more.
   *
   * @param erasure a `MachineUserErased`
   */
  forget({ stream, metadata }: Pick<RecordedEvent, 'stream' | 'metadata'>): void {
    const userId = idOfStream(stream);
    if (!this.#erased.has(userId)) this.#erased.set(userId, { erasedAt: String(metadata['occurredAt']) });
    this.#recent.delete(userId);
  }

  async #known(userId: string): Promise<PersonalKey | undefined> {
    const remembered = this.#erased.get(userId) ?? this.#recent.get(userId);
    if (remembered !== undefined) return remembered;
    const known = await this.#keys?.keyOf(userId);
    // Meanwhile, too.
    const erased = this.#erased.get(userId);
    if (erased !== undefined) return erased;
    if (known !== undefined) this.#recent.set(userId, known);
    return known;
  }

  async #keyFor(userId: string): Promise<Uint8Array> {
    const known = (await this.#known(userId)) ?? (await this.#keys?.create(userId));
    if (known === undefined || 'erasedAt' in known) throw new Error(`user ${userId} was erased`);
    return known.key;
  }
}

/** The log as it is read: with personal fields opened. Whoever hashes events needs the log itself. */
export function openedLog(eventStore: EventStore, personalFields: PersonalFields): EventStore {
  return {
    append: (stream, events, expectedRevision) => eventStore.append(stream, events, expectedRevision),
    async *readStream(stream, options) {
      for await (const event of eventStore.readStream(stream, options)) yield personalFields.open(event);
    },
    async *readAll(options) {
      for await (const event of eventStore.readAll(options)) yield personalFields.open(event);
    },
    async *subscribe(options) {
      for await (const batch of eventStore.subscribe(options)) {
        if (!batch.events.some(concernsKeys)) {
          yield batch;
          continue;
        }
        const events = await untilReached(() => personalFields.openAll(batch.events), options?.signal);
        if (events === undefined) return;
        yield { ...batch, events };
      }
    },
    close: () => eventStore.close(),
  };
}

export function hasPersonalFields(event: Pick<EventOfUser, 'type' | 'data'>): boolean {
  return personalFieldsOf(event.type).some((field) => event.data[field] !== undefined);
}

export function isSealed({ type, data }: Pick<EventOfUser, 'type' | 'data'>): boolean {
  return personalFieldsOf(type).some((field) => typeof data[field] === 'object');
}

/** Whether the event has to be opened, or tells of an erasure. */
function concernsKeys(event: EventOfUser): boolean {
  return isSealed(event) || event.type === 'MachineUserErased';
}

function sealedFieldsOf({ type, data }: Pick<EventOfUser, 'type' | 'data'>): string[] {
  return personalFieldsOf(type).filter((field) => typeof data[field] === 'object');
}

const none: readonly string[] = [];

function personalFieldsOf(type: string): readonly string[] {
  return (eventCatalogue as EventSchemas)[type]?.personal ?? none;
}

/** A sealed text cannot be moved to another user, event or field. */
function contextOf({ stream, id, type }: EventOfUser, field: string): string {
  return JSON.stringify([stream, id, type, field]);
}

/** JSON with spaces after it, which do not count. */
function padded(json: string): Buffer {
  const length = Buffer.byteLength(json);
  return Buffer.from(json + ' '.repeat(Math.ceil(length / paddedTo) * paddedTo - length));
}

function unreadable({ id, stream }: EventOfUser, reason: string): EventStoreUnusableError {
  return new EventStoreUnusableError(
    `the personal fields of event ${id} of stream ${stream} cannot be read, ${reason}: put the personal keys back that belong to this log`,
  );
}
