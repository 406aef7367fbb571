import { randomUUID } from 'node:crypto';
import type { CommandContext, CommandHandler } from '../application/command-handler.ts';
import { parkedEvents, streamOf, subscription } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import type { PendingEvent, Progress } from '../domain/subscription/progress.ts';
import { type Delivery, DeliveryLanes } from './delivery-lanes.ts';
import type { EventFeed } from './event-feed.ts';
import type { FeedEvent } from './feed-event.ts';
import { type RetryPolicy, retryDelay } from './retry-policy.ts';

/** A delivery failed, and the receiver said when to try again. */
export class RetryLaterError extends Error {
  override readonly name = 'RetryLaterError';
  /** In milliseconds. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

export interface Attempt {
  /** 1 for the first one. */
  readonly number: number;
  /** The subscriber is being stopped. */
  readonly signal: AbortSignal;
}

export interface FailedAttempt {
  readonly event: FeedEvent;
  readonly error: unknown;
  /** How often this event was tried in vain. */
  readonly attempts: number;
  /** Since when nothing at all could be delivered: RFC 3339. */
  readonly failingSince: string;
}

export interface SubscriptionWorkerOptions {
  readonly name: string;
  readonly nodeId: string;
  /** Id of the worker that it takes over from, null for no one. Undefined: from whoever there is. */
  readonly supersedes?: string | null | undefined;
  readonly feed: EventFeed;
  readonly commands: CommandHandler;
  /** Where a subscriber begins that has no progress yet: a position of the log, exclusive. */
  readonly after: bigint;
  readonly accept: (event: FeedEvent) => boolean;
  /** Resolves when the event has arrived. */
  readonly deliver: (event: FeedEvent, attempt: Attempt) => Promise<void>;
  readonly retry: RetryPolicy;
  /** How many deliveries may be under way at a time. Those with one ordering key never overlap. */
  readonly concurrency: number;
  /** How many events may be read and not delivered. When there are so many, no more are read. */
  readonly maxPending: number;
  /** In milliseconds: how old progress may be that is not saved yet. After a crash, that much comes again. */
  readonly saveInterval: number;
  readonly onFailedAttempt?: (failed: FailedAttempt) => void;
  /** Progress could not be saved. It is tried again. */
  readonly onSaveError?: (error: unknown) => void;
}

/** So many deliveries are saved at once, however recent. */
const saveAfterDeliveries = 1000;
/** So many positions without an event for the subscriber are saved, so that they are not read again. */
const saveAfterPositions = 10_000n;
/** The target, and not an event, is at fault when so many different ordering keys fail in a row. */
const outageThreshold = 3;

/**
 * Delivers the events of the log to one subscriber: at least once, in order for each ordering key.
 *
 * Progress is kept in the event store. A worker that was taken over learns of it when it saves, and ends.
 */
export class SubscriptionWorker {
  readonly #options: SubscriptionWorkerOptions;
  readonly #worker: { readonly workerId: string; readonly nodeId: string };
  readonly #context: CommandContext;
  readonly #lanes: DeliveryLanes;
  readonly #stop = new AbortController();
  /** What was pending at the start, and is not in the lanes yet. */
  #unresumed: PendingEvent[] = [];
  /** All up to here is in the lanes, settled, or still to be resumed. */
  #position = 0n;
  #savedPosition = 0n;
  #unsaved = 0;
  #saveTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  #failingSince: string | undefined;
  #failingKeys = new Set<string>();
  /** Nothing could be delivered when it was last tried. */
  #isOut = false;
  /** How many attempts in a row, each begun after a pause, have found the target out. */
  #probes = 0;
  /** How often deliveries were paused since the start. */
  #pauses = 0;
  #fault: unknown;

  constructor(options: SubscriptionWorkerOptions) {
    this.#options = options;
    this.#worker = { workerId: randomUUID(), nodeId: options.nodeId };
    const { workerId } = this.#worker;
    this.#context = { editor: null, correlationId: workerId, causationId: workerId };
    this.#lanes = new DeliveryLanes({
      signal: this.#stop.signal,
      concurrency: options.concurrency,
      attempt: (delivery) => this.#attempt(delivery),
      onSettled: () => this.#noteChange(),
    });
  }

  /**
   * Delivers until `signal`, then saves how far it came.
   *
   * @throws KeyturnError `SUBSCRIPTION_TAKEN_OVER`
   */
  async run(signal: AbortSignal): Promise<void> {
    const end = () => this.#stop.abort();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      await this.#resume();
      await this.#read();
    } catch (error) {
      // What stands before an event that cannot be read is delivered still, but for what is to be tried again later.
      await this.#lanes.idle();
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
      this.#stop.abort();
      clearTimeout(this.#saveTimer);
      await this.#lanes.idle();
      if (this.#unsaved > 0) this.#save();
      await this.#saving;
    }
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Takes the subscription, and up where it was left. */
  async #resume(): Promise<void> {
    const { name, commands, after, feed, supersedes } = this.#options;
    const claim = { type: 'ClaimSubscription', ...this.#worker, supersedes } as const;
    const { state } = await commands.execute(subscription, name, claim, this.#context);
    this.#position = state.progress === undefined ? after : BigInt(state.progress.position);
    this.#savedPosition = this.#position;
    this.#failingSince = state.progress?.failingSince;
    const pending = state.progress?.pending ?? [];
    this.#unresumed = [...pending];
    for (const { stream, revision, attempts, failingSince } of pending) {
      const event = await feed.eventAt(stream, BigInt(revision));
      this.#unresumed.shift();
      if (event !== undefined) this.#lanes.add({ event, attempts, failingSince });
    }
  }

  async #read(): Promise<void> {
    const { feed, maxPending } = this.#options;
    const { signal } = this.#stop;
    const accept = (event: FeedEvent) => this.#options.accept(event) || this.#isReplay(event);
    for await (const { events, position } of feed.follow({ after: this.#position, accept, signal })) {
      for (const event of events) {
        while (this.#lanes.size >= maxPending && !signal.aborted) await this.#lanes.nextChange();
        if (signal.aborted) return;
        await this.#take(event);
      }
      this.#position = position;
      if (position - this.#savedPosition > saveAfterPositions) this.#save();
    }
  }

  async #take(event: FeedEvent): Promise<void> {
    const wanted = this.#isReplay(event) ? await this.#replayed(event) : event;
    if (wanted !== undefined) this.#lanes.add({ event: wanted, attempts: 0, failingSince: undefined });
    this.#position = event.position;
  }

  /** Someone asked for a parked event of this subscriber. */
  #isReplay({ recorded: { type, stream } }: FeedEvent): boolean {
    return type === 'ParkedEventReplayed' && stream === streamOf(parkedEvents, this.#options.name);
  }

  #replayed({ recorded: { data } }: FeedEvent): Promise<FeedEvent | undefined> {
    return this.#options.feed.eventAt(String(data['stream']), BigInt(String(data['revision'])));
  }

  async #attempt(delivery: Delivery): Promise<number | undefined> {
    const { deliver } = this.#options;
    const { event } = delivery;
    const pausesBefore = this.#pauses;
    try {
      await deliver(event, { number: delivery.attempts + 1, signal: this.#stop.signal });
    } catch (error) {
      // Cut off by the stop: it stays pending, and does not count.
      if (this.#stop.signal.aborted) return 0;
      return this.#failed(delivery, error, pausesBefore);
    }
    this.#succeeded();
    return undefined;
  }

  #succeeded(): void {
    const wasOut = this.#isOut;
    this.#failingSince = undefined;
    this.#failingKeys.clear();
    this.#probes = 0;
    this.#isOut = false;
    if (wasOut) this.#lanes.resume();
  }

  async #failed(delivery: Delivery, error: unknown, pausesBefore: number): Promise<number | undefined> {
    const { retry, commands, onFailedAttempt } = this.#options;
    const now = commands.now();
    delivery.attempts++;
    // Saved once, since giving up depends on it; later attempts are not worth an event each.
    if (delivery.failingSince === undefined) this.#noteChange();
    delivery.failingSince ??= now.toISOString();
    this.#failingSince ??= now.toISOString();
    const { event, attempts } = delivery;
    const failed = { event, error, attempts, failingSince: this.#failingSince };
    this.#report(() => onFailedAttempt?.(failed));
    this.#noteOutage(delivery, error, pausesBefore);
    const age = now.getTime() - Date.parse(delivery.failingSince);
    if (delivery.attempts >= retry.maxAttempts || age >= retry.giveUpAfter) {
      if (await this.#park(delivery, error)) return undefined;
    }
    const wanted = error instanceof RetryLaterError ? error.retryAfter : 0;
    return Math.max(wanted, retryDelay(retry, delivery.attempts));
  }

  /** While the target is out, one delivery at a time finds out when it is back. */
  #noteOutage(delivery: Delivery, error: unknown, pausesBefore: number): void {
    const retry = { ...this.#options.retry, longestDelay: this.#options.retry.longestOutageDelay };
    this.#failingKeys.add(delivery.event.orderingKey);
    if (error instanceof RetryLaterError) {
      // The receiver knows best, but "at once" would be a loop.
      this.#pause(Math.max(error.retryAfter, retryDelay(retry, 1)));
      return;
    }
    // Attempts that were under way together tell of one outage, and not each of one more.
    if (this.#failingKeys.size < outageThreshold || pausesBefore !== this.#pauses) return;
    this.#probes++;
    this.#pause(retryDelay(retry, this.#probes));
  }

  #pause(milliseconds: number): void {
    this.#isOut = true;
    this.#pauses++;
    this.#lanes.pause(milliseconds);
  }

  /** Who is told of trouble may throw: then the worker ends with that error, and nothing hangs. */
  #report(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#fault ??= error;
      this.#stop.abort();
    }
  }

  /** False when it could not be written down: then the event stays where it is. */
  async #park({ event, attempts }: Delivery, error: unknown): Promise<boolean> {
    const { name, commands, onSaveError } = this.#options;
    const { id: eventId, stream, revision } = event.recorded;
    const reason = error instanceof Error ? error.message : String(error);
    const park = {
      type: 'ParkEvent',
      eventId,
      stream,
      revision: String(revision),
      attempts,
      reason: reason.slice(0, 1000),
    } as const;
    try {
      await commands.execute(parkedEvents, name, park, { ...this.#context, causationId: eventId });
    } catch (parkError) {
      this.#report(() => onSaveError?.(parkError));
      return false;
    }
    return true;
  }

  #noteChange(): void {
    this.#unsaved++;
    if (this.#unsaved >= saveAfterDeliveries) this.#save();
    else this.#saveTimer ??= setTimeout(() => this.#save(), this.#options.saveInterval);
  }

  /** Saves are made one after the other, each of all that is known when its turn comes. */
  #save(): void {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    this.#unsaved = 0;
    this.#savedPosition = this.#position;
    this.#saving = this.#saving.then(() => this.#saveNow());
  }

  async #saveNow(): Promise<void> {
    const { name, commands, onSaveError } = this.#options;
    const advance = { type: 'AdvanceSubscription', ...this.#worker, progress: this.#progress() } as const;
    try {
      await commands.execute(subscription, name, advance, this.#context);
    } catch (error) {
      if (error instanceof KeyturnError && error.code === 'SUBSCRIPTION_TAKEN_OVER') {
        this.#fault = error;
        this.#stop.abort();
        return;
      }
      this.#report(() => onSaveError?.(error));
      if (!this.#stop.signal.aborted) this.#noteChange();
    }
  }

  #progress(): Progress {
    // In log order: should one of them be unreadable at the next start, it hides nothing that stands before it.
    const deliveries = this.#lanes
      .deliveries()
      .toSorted((a, b) => Number(a.event.position - b.event.position));
    const pending = deliveries.map(({ event: { recorded }, attempts, failingSince }) => ({
      stream: recorded.stream,
      revision: String(recorded.revision),
      attempts,
      ...(failingSince !== undefined && { failingSince }),
    }));
    return {
      position: String(this.#position),
      pending: [...pending, ...this.#unresumed],
      ...(this.#failingSince !== undefined && { failingSince: this.#failingSince }),
    };
  }
}
