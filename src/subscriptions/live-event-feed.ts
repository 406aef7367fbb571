import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { headOf } from '../eventstore/head.ts';
import { untilReached } from '../eventstore/until-reached.ts';
import type { EventFeed, FeedBatch, FollowOptions } from './event-feed.ts';
import { type FeedEvent, FeedEventReader } from './feed-event.ts';

export interface LiveEventFeedOptions {
  readonly eventStore: EventStore;
  readonly source: () => string;
  /** Resolves when events up to the position may be told: answers to questions that they raise are then ready. */
  readonly visible: (position: bigint) => Promise<void>;
  /** In milliseconds: followers of a log that does not grow get an empty batch so often. */
  readonly heartbeatInterval: number;
}

/** How many events are kept for followers that are nearly up to date. Others read the store. */
const recentLimit = 4096;
/** The most events in one batch for a follower. */
const batchLimit = 256;
/** Followers may begin anywhere, and on a quiet log nothing else makes an end of what they asked for. */
const recentBatches = 64;
/** How many batches read from the store are kept, and for how long, in milliseconds: followers that catch up together share them. */
const storedBatches = { max: 16, ttl: 10_000 } as const;
/** In milliseconds: what happens within it is told together, so that many followers of a busy log cost little. */
const gatheringTime = { least: 1, most: 8, perFollower: 0.08 } as const;

/** Told of events as they stand in the log. */
interface Watcher {
  readonly accept: (event: RecordedEvent) => boolean;
  readonly accepted: RecordedEvent[];
  readonly wake: () => void;
}

/** Events that change nothing about who may read what. */
const withoutEffectOnAccess: ReadonlySet<string> = new Set([
  'MachineSecretSet',
  'MachineSecretRehashed',
  'MachineSecretRemoved',
  'MachineUserAdded',
  'MachineUserChanged',
  'MachineUserNameChanged',
  'UserNameClaimed',
  'SubscriptionAdvanced',
  'NodeSeen',
]);

/** A feed that reads the log once for all followers that are up to date. */
export class LiveEventFeed implements EventFeed {
  readonly #options: LiveEventFeedOptions;
  readonly #reader: FeedEventReader;
  readonly #stop = new AbortController();
  /** Followers that wait for what happens next. */
  #waiting: (() => void)[] = [];
  #followers = 0;
  readonly #watchers = new Set<Watcher>();
  #recent: FeedEvent[] = [];
  /** What stands in the log after this is in `#recent`, up to `#position`. */
  #recentAfter = 0n;
  /** Parts of `#recent` that a follower has asked for since it changed, by where they begin. */
  readonly #recentBatches = new LRUCache<bigint, FeedBatch>({ max: recentBatches });
  /** By where they begin. */
  readonly #storedBatches = new LRUCache<bigint, Promise<FeedBatch>>(storedBatches);
  #position = 0n;
  #accessVersion = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(options: LiveEventFeedOptions) {
    this.#options = options;
    this.#reader = new FeedEventReader(options.eventStore, options.source);
  }

  async start(): Promise<void> {
    this.#position = await headOf(this.#options.eventStore);
    this.#recentAfter = this.#position;
    this.#heartbeat = setInterval(() => this.#wakeFollowers(), this.#options.heartbeatInterval).unref();
    this.#running = this.#run().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#failure = error;
      this.#stop.abort();
    });
  }

  /** Resolves after `stop`. Rejects when the log cannot be followed any more: followers then come to an end. */
  async finished(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#heartbeat);
    await this.#running;
  }

  /** False before the start, and when the log can no longer be followed: followers then come to an end. */
  get isRunning(): boolean {
    return this.#running !== undefined && !this.#stop.signal.aborted;
  }

  /** The last position that was told. */
  get position(): bigint {
    return this.#position;
  }

  /** Grows with every event that may change who may read what. */
  get accessVersion(): number {
    return this.#accessVersion;
  }

  async *follow({ after, accept, signal }: FollowOptions): AsyncGenerator<FeedBatch> {
    const stop = AbortSignal.any([signal, this.#stop.signal]);
    let wake = () => {};
    const onStop = () => wake();
    stop.addEventListener('abort', onStop, { once: true });
    let position = after;
    this.#followers++;
    try {
      while (!stop.aborted) {
        if (position >= this.#position) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            this.#waiting.push(resolve);
          });
          if (position >= this.#position && !stop.aborted) yield { events: [], position };
          continue;
        }
        const read = await this.#readBatch(position, stop);
        if (read === undefined) return;
        position = read.position;
        if (!stop.aborted)
          yield accept === undefined ? read : { ...read, events: read.events.filter(accept) };
      }
    } finally {
      // Node keeps a signal that depends on others for as long as somebody listens to it.
      stop.removeEventListener('abort', onStop);
      this.#followers--;
    }
  }

  /**
   * The events from now on that are accepted, as they stand in the log: for what needs no more of them, so that nobody has to find their
   * owners and make what is told of them while there is no follower.
   *
   * @param signal ends the iteration, without an error
   */
  async *watch(
    accept: (event: RecordedEvent) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<RecordedEvent> {
    const stop = AbortSignal.any([signal, this.#stop.signal]);
    const accepted: RecordedEvent[] = [];
    let wake = () => {};
    stop.addEventListener('abort', () => wake(), { once: true });
    const watcher: Watcher = { accept, accepted, wake: () => wake() };
    this.#watchers.add(watcher);
    try {
      while (!stop.aborted) {
        if (accepted.length > 0) {
          yield* accepted.splice(0);
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  async eventAt(stream: string, revision: bigint): Promise<FeedEvent | undefined> {
    const { eventStore } = this.#options;
    for await (const recorded of eventStore.readStream(stream, { from: revision, limit: 1 })) {
      return this.#reader.read(recorded);
    }
    return undefined;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const subscription = this.#options.eventStore.subscribe({ after: this.#position, signal });
    for await (const { events, position } of subscription) {
      const read: FeedEvent[] = [];
      const isFollowed = this.#followers > 0;
      for (const event of isFollowed ? events : []) {
        const feedEvent = await untilReached(() => this.#reader.read(event), signal);
        if (feedEvent === undefined) return;
        read.push(feedEvent);
      }
      await this.#untilVisible(position);
      this.#keep(read, isFollowed ? undefined : position);
      this.#publish(events, position);
      const { least, most, perFollower } = gatheringTime;
      const forFollowers = Math.min(most, Math.max(least, this.#followers * perFollower));
      const wait = this.#followers === 0 ? most : forFollowers;
      await delay(wait, undefined, { signal }).catch(() => {});
    }
  }

  /** A read model that is far behind delays the feed, and does not end it. */
  async #untilVisible(position: bigint): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        return await this.#options.visible(position);
      } catch {
        await delay(100);
      }
    }
  }

  /** @param passed what stands in the log up to there was not read: who wants it reads the store */
  #keep(read: readonly FeedEvent[], passed: bigint | undefined): void {
    this.#recent.push(...read);
    this.#recentBatches.clear();
    if (passed !== undefined) {
      this.#recent.length = 0;
      this.#recentAfter = passed;
    } else if (this.#recent.length > recentLimit * 2) {
      const dropped = this.#recent.splice(0, this.#recent.length - recentLimit);
      this.#recentAfter = dropped.at(-1)?.position ?? this.#recentAfter;
    }
  }

  #publish(events: readonly RecordedEvent[], position: bigint): void {
    if (events.some(({ type }) => type === 'MachineUserErased')) {
      // They may tell who the user was; the store does not any more.
      this.#recent.length = 0;
      this.#recentAfter = position;
      this.#storedBatches.clear();
    }
    this.#position = position;
    if (events.some(({ type }) => !withoutEffectOnAccess.has(type))) this.#accessVersion++;
    for (const { accept, accepted, wake } of this.#watchers) {
      const news = events.filter(accept);
      accepted.push(...news);
      if (news.length > 0) wake();
    }
    this.#wakeFollowers();
  }

  #wakeFollowers(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** What is next after a position that the log is past: one batch for all who ask for the same. Undefined at the abort. */
  async #readBatch(after: bigint, signal: AbortSignal): Promise<FeedBatch | undefined> {
    if (after < this.#recentAfter) return untilReached(() => this.#readStoredOnce(after), signal);
    const batch = this.#recentBatches.get(after) ?? this.#readRecent(after);
    this.#recentBatches.set(after, batch);
    return batch;
  }

  #readRecent(after: bigint): FeedBatch {
    const start = firstAfter(this.#recent, after);
    const events = this.#recent.slice(start, start + batchLimit);
    const isAll = start + events.length === this.#recent.length;
    return { events, position: isAll ? this.#position : (events.at(-1)?.position ?? this.#position) };
  }

  #readStoredOnce(after: bigint): Promise<FeedBatch> {
    const known = this.#storedBatches.get(after);
    if (known !== undefined) return known;
    const batch = this.#readStored(after);
    this.#storedBatches.set(after, batch);
    batch.catch(() => this.#storedBatches.delete(after));
    return batch;
  }

  async #readStored(after: bigint): Promise<FeedBatch> {
    const told = this.#position;
    const events: FeedEvent[] = [];
    try {
      for await (const recorded of this.#options.eventStore.readAll({ after, limit: batchLimit })) {
        if (recorded.position > told) return { events, position: told };
        events.push(await this.#reader.read(recorded));
      }
    } catch (error) {
      const last = events.at(-1);
      if (last === undefined) throw error;
      return { events, position: last.position };
    }
    return { events, position: events.length < batchLimit ? told : (events.at(-1)?.position ?? told) };
  }
}

/** The index of the first event past a position. */
function firstAfter(events: readonly FeedEvent[], position: bigint): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const event = events[middle];
    if (event !== undefined && event.position <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}
