import { EventStoreClosedError } from '../errors.ts';
import type {
  AppendResult,
  EventStore,
  ExpectedRevision,
  NewEvent,
  ReadAllOptions,
  ReadStreamOptions,
  RecordedEvent,
  SubscribeOptions,
  SubscriptionBatch,
} from '../event-store.ts';
import { serializeNewEvents } from '../new-events.ts';
import { StoreConnection } from './connection.ts';
import { type ConnectionSettings, describeStore, readConnectionString } from './connection-string.ts';
import { EventStoreDbPersonalKeys, type SharedPersonalKeys } from './eventstoredb-personal-keys.ts';
import { PassingFault } from './faults.ts';
import { LogPages, pageSize } from './log-pages.ts';
import type { StoreClient } from './store-client.ts';
import { follow } from './subscription.ts';

export interface EventStoreDbOptions {
  /** As the store's clients read it: `esdb://`, `esdb+discover://` or `kurrentdb://`. */
  readonly connectionString: string;
  /** In milliseconds: how long a call is repeated that fails for a reason that may pass. Default 10 s. */
  readonly giveUpAfter?: number;
  /** In milliseconds: how long a subscription may be silent before it is looked into. Default 20 s. */
  readonly silenceLimit?: number;
  /** Told when the store is no longer reached, and when it is again. */
  readonly onReachable?: (reachable: boolean, fault?: Error) => void;
  /** Told of every subscription that was interrupted and is resumed. */
  readonly onInterruption?: (fault: Error) => void;
}

/** The log, and beside it, in the same store and over the same connection, the keys of personal fields. */
export interface EventStoreDb extends EventStore {
  /** @param wrappingKeys 32 bytes each: the keys are stored under the first. None are needed to copy keys as they are. */
  personalKeys(wrappingKeys: readonly Uint8Array[]): SharedPersonalKeys;
}

/**
 * The event store for many machines: EventStoreDB 23.10 or newer, or KurrentDB.
 *
 * Opens no connection: the first call does. A call that fails for a reason that may pass (no connection, no leader, no
 * answer in time) is repeated for a bounded time, an append with the same event ids. Subscriptions are resumed for ever.
 *
 * @throws EventStoreUnusableError the connection string is not one, or names a file that does not exist
 */
export function openEventStoreDbEventStore(options: EventStoreDbOptions): EventStoreDb {
  return new EventStoreDbEventStore(options, readConnectionString(options.connectionString));
}

/** Where the store is, for logs and people: without credentials. Throws {@link EventStoreUnusableError}. */
export function describeConnection(connectionString: string): string {
  return describeStore(readConnectionString(connectionString));
}

class EventStoreDbEventStore implements EventStoreDb {
  readonly #connection: StoreConnection;
  readonly #deadline: number;
  readonly #giveUpAfter: number;
  readonly #silenceLimit: number;
  readonly #onInterruption: (fault: Error) => void;
  readonly #closing = new AbortController();
  readonly #appends = new Set<Promise<unknown>>();
  readonly #log = new LogPages((page) => this.#call((client) => client.readAll(page)));

  constructor(options: EventStoreDbOptions, settings: ConnectionSettings) {
    const { giveUpAfter = 10_000, silenceLimit = 20_000 } = options;
    this.#connection = new StoreConnection(settings, options.onReachable ?? (() => {}));
    this.#deadline = settings.deadline;
    this.#giveUpAfter = giveUpAfter;
    this.#silenceLimit = silenceLimit;
    this.#onInterruption = options.onInterruption ?? (() => {});
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<AppendResult> {
    const serialized = serializeNewEvents(stream, events);
    const append = this.#call(async (client) => {
      const { revision, position } = await client.append(stream, serialized, expectedRevision);
      if (position !== undefined) return { revision, position };
      const [last] = await client.readStream(stream, { from: revision, direction: 'forwards', count: 1 });
      // Any other position would let a caller read before its own write. The repetition lands once.
      if (last === undefined) throw new PassingFault(`the event store does not show an append to ${stream}`);
      return { revision, position: last.position };
    });
    this.#appends.add(append);
    try {
      return await append;
    } finally {
      this.#appends.delete(append);
    }
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncGenerator<RecordedEvent> {
    const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = options;
    let { from } = options;
    let left = limit;
    while (left > 0) {
      const page = { from, direction, count: Math.min(left, pageSize) };
      let found = 0;
      for (const event of await this.#call((client) => client.readStream(stream, page))) {
        yield event;
        found++;
        from = direction === 'forwards' ? event.revision + 1n : event.revision - 1n;
      }
      if (found < page.count || from === -1n) return;
      left -= found;
    }
  }

  async *readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    yield* this.#log.read(options);
  }

  async *subscribe(options: SubscribeOptions = {}): AsyncGenerator<SubscriptionBatch> {
    this.#requireOpen();
    const { after = 0n, filter, signal } = options;
    yield* follow({
      connection: this.#connection,
      after,
      filter,
      signal: AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]),
      deadline: this.#deadline,
      silenceLimit: this.#silenceLimit,
      onInterruption: this.#onInterruption,
    });
  }

  personalKeys(wrappingKeys: readonly Uint8Array[]): SharedPersonalKeys {
    return new EventStoreDbPersonalKeys((call) => this.#call(call), wrappingKeys);
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await Promise.allSettled(this.#appends);
    this.#connection.close();
  }

  async #call<Result>(call: (client: StoreClient) => Promise<Result>): Promise<Result> {
    this.#requireOpen();
    return this.#connection.call(call, this.#giveUpAfter);
  }

  #requireOpen(): void {
    if (this.#closing.signal.aborted) throw new EventStoreClosedError();
  }
}
