import { type Clock, type CommandContext, CommandHandler } from '../application/command-handler.ts';
import { parkedEvents } from '../domain/aggregates.ts';
import type { ParkedEvent } from '../domain/subscription/parked-events.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { headOf } from '../eventstore/head.ts';
import type { CloudEvent } from './cloud-event.ts';
import { type EventFeed, StoreFeed } from './event-feed.ts';
import { type EventSelection, isSelected } from './feed-event.ts';
import type { PublishedEventType } from './published-events.ts';
import type { RetryPolicy } from './retry-policy.ts';
import { type Attempt, type FailedAttempt, SubscriptionWorker } from './subscription-worker.ts';

export interface SubscribeOptions<Type extends PublishedEventType = PublishedEventType> {
  readonly eventStore: EventStore;
  /** Under which progress is kept: letters, digits, `.`, `_` and `-`. The same name goes on where it stopped. */
  readonly name: string;
  /**
   * Called with each event, at least once. The event is done when the promise resolves; when it rejects, it is tried again,
   * and parked in the end. Events about one user come in order, one after the other.
   */
  readonly handler: (event: CloudEvent<Type>, attempt: Attempt) => Promise<void> | void;
  readonly filter?: EventSelection<Type>;
  /** Where a new name begins: after a position, or `end` for what happens from now on. Default: the log's begin. */
  readonly after?: bigint | 'end';
  /** Handlers at work at a time. Default 1: all events in log order, but for those that are tried again. */
  readonly concurrency?: number;
  /** How many events may be read ahead: 1000 at most, which is the default. */
  readonly maxPending?: number;
  readonly retry?: Partial<RetryPolicy>;
  /** In milliseconds. After a crash, as much comes again. Default 10 seconds. */
  readonly saveInterval?: number;
  /** `source` of the events: the URL of the Keyturn that they come from. */
  readonly source?: string;
  /** Ends the subscription: the handlers at work finish, and progress is saved. */
  readonly signal?: AbortSignal;
  readonly onFailedAttempt?: (failed: FailedAttempt) => void;
  /** Progress could not be saved. It is tried again. */
  readonly onSaveError?: (error: unknown) => void;
  readonly clock?: Clock;
}

export interface Subscription {
  /** Resolves after the end. Rejects when the log cannot be read, or `SUBSCRIPTION_TAKEN_OVER` by another process. */
  readonly finished: Promise<void>;
  /** The events that the handler could not take. */
  parked(): Promise<readonly ParkedEvent[]>;
  /** Gives a parked event to the handler again. Throws KeyturnError `PARKED_EVENT_NOT_FOUND`. */
  replay(eventId: string): Promise<void>;
  /** Gives all of them to the handler again, and tells how many they are. */
  replayAll(): Promise<number>;
}

export const subscriberRetryPolicy: RetryPolicy = {
  firstDelay: 200,
  factor: 4,
  longestDelay: 30_000,
  maxAttempts: 6,
  giveUpAfter: Number.POSITIVE_INFINITY,
  longestOutageDelay: 30_000,
};

/** Progress names each event that is pending, and is one event: with the longest names of streams it is not too large. */
const mostPending = 1000;

/** Names of webhooks' subscriptions begin with it. */
export const webhookSubscriptionPrefix = 'webhook-';

/**
 * Calls a handler with every event of the log that the filter takes, in this process, and remembers in the event store
 * how far it came.
 *
 * One process at a time works under a name: the one that subscribed last.
 *
 * @throws TypeError a name that cannot be used
 * @throws RangeError a `maxPending` that is not between 1 and 1000
 */
export function subscribe<Type extends PublishedEventType = PublishedEventType>(
  options: SubscribeOptions<Type>,
): Subscription {
  const {
    eventStore,
    name,
    handler,
    filter = {},
    source = 'urn:keyturn',
    clock = () => new Date(),
    maxPending = mostPending,
  } = options;
  if (!/^[\w.-]{1,100}$/.test(name) || name.startsWith(webhookSubscriptionPrefix)) {
    throw new TypeError(`${JSON.stringify(name)} cannot be the name of a subscriber`);
  }
  if (!(maxPending >= 1 && maxPending <= mostPending)) {
    throw new RangeError(`maxPending must be between 1 and ${mostPending}, not ${maxPending}`);
  }
  const commands = new CommandHandler({ eventStore, clock, waitForReadModel: async () => {} });
  const worker = async () =>
    new SubscriptionWorker({
      name,
      nodeId: `process-${process.pid}`,
      feed: new StoreFeed(eventStore, () => source),
      commands,
      after: options.after === 'end' ? await headOf(eventStore) : (options.after ?? 0n),
      accept: (event) => isSelected(event, filter),
      deliver: async ({ cloudEvent }, attempt) => handler(cloudEvent as CloudEvent<Type>, attempt),
      retry: { ...subscriberRetryPolicy, ...options.retry },
      concurrency: options.concurrency ?? 1,
      maxPending,
      saveInterval: options.saveInterval ?? 10_000,
      ...(options.onFailedAttempt && { onFailedAttempt: options.onFailedAttempt }),
      ...(options.onSaveError && { onSaveError: options.onSaveError }),
    });
  const run = async () => (await worker()).run(options.signal ?? new AbortController().signal);
  return { finished: run(), ...parkedEventsOf(commands, name) };
}

/** What can be done with the parked events of a subscriber. */
export function parkedEventsOf(
  commands: CommandHandler,
  name: string,
  context: CommandContext = { editor: null, correlationId: name, causationId: name },
): Omit<Subscription, 'finished'> {
  const parked = async () => [...(await commands.load(parkedEvents, name)).state.values()];
  const replay = async (eventId: string) => {
    await commands.execute(parkedEvents, name, { type: 'ReplayParkedEvent', eventId }, context);
  };
  return {
    parked,
    replay,
    async replayAll() {
      const all = await parked();
      for (const { eventId } of all) await replay(eventId);
      return all.length;
    },
  };
}

export interface FollowEventsOptions<Type extends PublishedEventType = PublishedEventType> {
  readonly feed: EventFeed;
  readonly filter?: EventSelection<Type>;
  /** Exclusive. Default: from the log's begin. */
  readonly after?: bigint;
  readonly signal?: AbortSignal;
}

/** Iterates over the events that the filter takes, and waits for further ones. Keeps no progress: that is the caller's. */
export async function* followEvents<Type extends PublishedEventType = PublishedEventType>({
  feed,
  filter = {},
  after = 0n,
  signal = new AbortController().signal,
}: FollowEventsOptions<Type>): AsyncGenerator<CloudEvent<Type>> {
  for await (const { events } of feed.follow({
    after,
    accept: (event) => isSelected(event, filter),
    signal,
  })) {
    for (const { cloudEvent } of events) yield cloudEvent as CloudEvent<Type>;
  }
}
