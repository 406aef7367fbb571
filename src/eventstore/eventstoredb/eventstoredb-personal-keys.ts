import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { EventStoreUnusableError, WrongExpectedRevisionError, WrongWrappingKeyError } from '../errors.ts';
import type { JsonObject, RecordedEvent } from '../event-store.ts';
import { serializeNewEvents } from '../new-events.ts';
import type { PersonalKey, PersonalKeys, StoredPersonalKey } from '../personal-keys.ts';
import { WrappingKeys } from '../wrapping-keys.ts';
import { readLog } from './log-pages.ts';
import { personalKeyStreams, personalKeyTypes } from './personal-key-streams.ts';
import { jsonEvent } from './protocol.ts';
import type { StoreClient } from './store-client.ts';

/** Makes a call to the store, again while it fails for a reason that may pass. */
export type CallStore = <Result>(call: (client: StoreClient) => Promise<Result>) => Promise<Result>;

/** Personal keys that all nodes share, and that can be copied as they are stored. */
export interface SharedPersonalKeys extends PersonalKeys {
  /** All keys, those that were destroyed too. */
  stored(): Promise<StoredPersonalKey[]>;
  /** Keys that are there are kept. One that was destroyed here or there stays, or gets, destroyed. */
  add(keys: Iterable<StoredPersonalKey>): Promise<void>;
}

const created = `${personalKeyTypes}Created`;
const wrappedAnew = `${personalKeyTypes}WrappedAnew`;
const destroyed = `${personalKeyTypes}Destroyed`;

/** How many keys are written at the same time, where there are many. */
const keysAtOnce = 64;

const keyData = z.union([
  z.object({ wrapped: z.base64url().transform((text) => Buffer.from(text, 'base64url')) }),
  z.object({ erasedAt: z.string() }),
]);

/** The last event about a key: it says all. */
interface KeyState {
  readonly revision: bigint;
  readonly stored: StoredPersonalKey;
}

/**
 * Personal keys in the store that holds the log, each in a stream of its own, which the log leaves out. Only the last event of
 * such a stream counts. Before another one takes the place of a key, the stream is told to hold one event only (`$maxCount`):
 * with the append the key is no longer read from the stream, and the next scavenge takes it from the disks.
 */
export class EventStoreDbPersonalKeys implements SharedPersonalKeys {
  readonly needsScavenge = true;
  readonly #call: CallStore;
  readonly #wrappingKeys: WrappingKeys;

  constructor(call: CallStore, wrappingKeys: readonly Uint8Array[]) {
    this.#call = call;
    this.#wrappingKeys = new WrappingKeys(wrappingKeys);
  }

  async prepare(): Promise<void> {
    try {
      // So that a missing right is told at once, and not by an erasure that is then half done. It may have been taken away since.
      await this.#keepLastOnly(streamOf(''), { isWrittenAnew: true });
    } catch (error) {
      if (!(error instanceof EventStoreUnusableError)) throw error;
      throw new EventStoreUnusableError(
        `${error.message}: to destroy keys, Keyturn needs the right to write the metadata of streams ($mw)`,
        { cause: error },
      );
    }
    if (this.#wrappingKeys.isChanging) await forEachOf(await this.#all(), (state) => this.#wrapAnew(state));
  }

  async keyOf(userId: string): Promise<PersonalKey | undefined> {
    const state = await this.#read(userId);
    if (state === undefined) return undefined;
    const { stored } = state;
    if ('erasedAt' in stored) return { erasedAt: stored.erasedAt };
    const key = this.#wrappingKeys.open(userId, stored.wrapped);
    if (key !== undefined) return { key };
    throw new WrongWrappingKeyError(
      'the master key is not the one that the personal keys in the event store are under',
    );
  }

  async create(userId: string): Promise<PersonalKey> {
    const key = randomBytes(32);
    const stored = { userId, wrapped: this.#wrappingKeys.wrap(userId, key) };
    if (await this.#append(created, stored, 'no_stream')) return { key };
    const known = await this.keyOf(userId);
    if (known !== undefined) return known;
    throw truncated(userId);
  }

  async destroy(userId: string, erasedAt: string): Promise<void> {
    for (;;) {
      const state = await this.#read(userId);
      if (state !== undefined) await this.#keepLastOnly(streamOf(userId));
      if (state !== undefined && 'erasedAt' in state.stored) return;
      if (await this.#append(destroyed, { userId, erasedAt }, state?.revision ?? 'no_stream')) return;
      // Else a key was made meanwhile.
      if (state === undefined && (await this.#read(userId)) === undefined) throw truncated(userId);
    }
  }

  async stored(): Promise<StoredPersonalKey[]> {
    return (await this.#all()).map(({ stored }) => stored);
  }

  async add(keys: Iterable<StoredPersonalKey>): Promise<void> {
    await forEachOf(keys, async (stored) => {
      if ('erasedAt' in stored) await this.destroy(stored.userId, stored.erasedAt);
      else await this.#append(created, stored, 'no_stream');
    });
  }

  /** The connection is the event store's. */
  close(): void {}

  /** Another node that was faster has done the same, or has destroyed the key. */
  async #wrapAnew({ stored, revision }: KeyState): Promise<void> {
    if ('erasedAt' in stored) return;
    const { userId } = stored;
    const wrapped = this.#wrappingKeys.wrapAnew(userId, stored.wrapped);
    if (wrapped === undefined) return;
    await this.#keepLastOnly(streamOf(userId));
    await this.#append(wrappedAnew, { userId, wrapped }, revision);
  }

  /** @returns whether the stream was as expected */
  async #append(
    type: string,
    stored: StoredPersonalKey,
    expectedRevision: bigint | 'no_stream',
  ): Promise<boolean> {
    const data: JsonObject =
      'erasedAt' in stored
        ? { erasedAt: stored.erasedAt }
        : { wrapped: Buffer.from(stored.wrapped).toString('base64url') };
    return this.#appendTo(streamOf(stored.userId), type, data, expectedRevision);
  }

  async #appendTo(
    stream: string,
    type: string,
    data: JsonObject,
    expectedRevision: bigint | 'no_stream',
  ): Promise<boolean> {
    const events = serializeNewEvents(stream, [{ id: randomUUID(), type, data, metadata: {} }]);
    try {
      await this.#call((client) => client.append(stream, events, expectedRevision));
      return true;
    } catch (error) {
      if (error instanceof WrongExpectedRevisionError) return false;
      throw error;
    }
  }

  /** Whatever else the stream's metadata says stays. */
  async #keepLastOnly(stream: string, { isWrittenAnew = false } = {}): Promise<void> {
    const metastream = `$$${stream}`;
    for (;;) {
      const current = await this.#lastOf(metastream);
      if (current?.data['$maxCount'] === 1 && !isWrittenAnew) return;
      const data = { ...current?.data, $maxCount: 1 };
      if (await this.#appendTo(metastream, '$metadata', data, current?.revision ?? 'no_stream')) return;
    }
  }

  async #read(userId: string): Promise<KeyState | undefined> {
    const last = await this.#lastOf(streamOf(userId));
    return last && stateIn(last);
  }

  async #lastOf(stream: string): Promise<RecordedEvent | undefined> {
    const end = { from: undefined, direction: 'backwards', count: 1 } as const;
    const [last] = await this.#call((client) => client.readStream(stream, end, jsonEvent));
    return last;
  }

  /** The log of all streams may show events that their streams do not hold any more: the last one counts. */
  async #all(): Promise<KeyState[]> {
    const states = new Map<string, KeyState>();
    const filter = { streamPrefixes: [personalKeyStreams] };
    const events = readLog((page) => this.#call((client) => client.readAll(page)), { filter }, jsonEvent);
    for await (const event of events) states.set(event.stream, stateIn(event));
    return [...states.values()];
  }
}

function streamOf(userId: string): string {
  return personalKeyStreams + userId;
}

function truncated(userId: string): EventStoreUnusableError {
  return new EventStoreUnusableError(`stream ${streamOf(userId)} was truncated: a personal key is lost`);
}

function stateIn({ stream, revision, data }: RecordedEvent): KeyState {
  const { success, data: known } = keyData.safeParse(data);
  if (!success) throw new EventStoreUnusableError(`stream ${stream} does not hold a personal key`);
  return { revision, stored: { userId: stream.slice(personalKeyStreams.length), ...known } };
}

async function forEachOf<Item>(items: Iterable<Item>, action: (item: Item) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const work = async () => {
    for (let next = left.next(); next.done !== true; next = left.next()) await action(next.value);
  };
  await Promise.all(Array.from({ length: keysAtOnce }, work));
}
