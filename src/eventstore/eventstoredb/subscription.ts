import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import type { EventFilter, RecordedEvent, SubscriptionBatch } from '../event-store.ts';
import { BufferedCall } from './buffered-call.ts';
import type { Lease, StoreConnection } from './connection.ts';
import { PassingFault } from './faults.ts';
import { positionOf, type ReadResponse, recordedEvent } from './protocol.ts';

export interface FollowOptions {
  readonly connection: StoreConnection;
  /** Exclusive; 0 for the log's begin. */
  readonly after: bigint;
  readonly filter: EventFilter | undefined;
  readonly signal: AbortSignal;
  /** In milliseconds: how long the store may take to confirm a subscription. */
  readonly deadline: number;
  /** In milliseconds: after so long without an event, it is looked whether there is one that should have come. */
  readonly silenceLimit: number;
  /** Told of every interruption. */
  readonly onInterruption: (fault: Error) => void;
}

/** Events of one batch while the subscription catches up. */
const batchSize = 512;
/** In milliseconds: the longest pause before a subscription is opened again, at random from half of it. */
const longestPause = 100;

/**
 * Follows the log: events after `after`, each once and in order. Whatever ends the subscription at the store, an
 * error, an end or silence, it is opened anew after the last position that was given, until `signal`.
 *
 * @throws EventStoreUnusableError the store refuses it: by its credentials, or because it has no such position
 */
export async function* follow(options: FollowOptions): AsyncGenerator<SubscriptionBatch> {
  const { signal, onInterruption } = options;
  let position = options.after;
  while (!signal.aborted) {
    const session = await openAgainAndAgain(options, position);
    if (session === undefined) return;
    let fault: unknown;
    try {
      for await (const batch of session.batches()) {
        position = batch.position;
        yield batch;
      }
    } catch (error) {
      fault = error;
    } finally {
      session.close(fault);
    }
    if (signal.aborted) return;
    if (!(fault instanceof PassingFault)) throw fault;
    onInterruption(fault);
    await sleep(longestPause * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
  }
}

/** Undefined once `signal` is aborted. */
async function openAgainAndAgain(options: FollowOptions, position: bigint): Promise<Session | undefined> {
  const { signal, onInterruption } = options;
  try {
    return await pRetry(() => Session.open(options, position), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 50,
      maxTimeout: 2000,
      randomize: true,
      signal,
      onFailedAttempt: ({ error }) => onInterruption(error),
      shouldRetry: ({ error }) => error instanceof PassingFault,
    });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** One subscription at the store, for as long as it holds. */
class Session {
  readonly #options: FollowOptions;
  readonly #lease: Lease;
  readonly #call: BufferedCall;
  readonly #first: readonly ReadResponse[];
  readonly #progress: Progress;

  private constructor(
    options: FollowOptions,
    lease: Lease,
    call: BufferedCall,
    first: readonly ReadResponse[],
    progress: Progress,
  ) {
    this.#options = options;
    this.#lease = lease;
    this.#call = call;
    this.#first = first;
    this.#progress = progress;
  }

  /** Resolves when the store has confirmed the subscription. */
  static async open(options: FollowOptions, after: bigint): Promise<Session> {
    const { connection, filter, signal, deadline } = options;
    const lease = await connection.lease();
    let call: BufferedCall | undefined;
    try {
      const head = await lease.client.headPosition();
      call = new BufferedCall(lease.client.subscribe(after === 0n ? undefined : after, filter));
      const first = await call.take(deadline, signal);
      if (first.length === 0) throw new PassingFault('the event store did not confirm a subscription');
      connection.succeeded();
      return new Session(options, lease, call, first, new Progress(after, head));
    } catch (error) {
      call?.cancel();
      lease.release(error);
      throw error;
    }
  }

  /** Throws when the subscription has failed, after all that had arrived. Ends on the signal. */
  async *batches(): AsyncGenerator<SubscriptionBatch> {
    const { signal } = this.#options;
    let responses = this.#first;
    let fault: unknown;
    while (fault === undefined && !signal.aborted) {
      try {
        for (const response of responses) this.#progress.add(response);
        if (this.#progress.isDue) yield this.#progress.take();
        responses = await this.#next();
      } catch (error) {
        fault = error;
      }
    }
    if (signal.aborted) return;
    if (this.#progress.hasEvents) yield this.#progress.take();
    throw fault;
  }

  close(fault: unknown): void {
    this.#call.cancel();
    this.#lease.release(fault);
  }

  /** What arrives next; nothing, when there is nothing to come. Throws when the store holds back an event. */
  async #next(): Promise<readonly ReadResponse[]> {
    const { filter, signal, silenceLimit } = this.#options;
    const arrived = await this.#call.take(silenceLimit, signal);
    if (arrived.length > 0 || signal.aborted) return arrived;
    const head = await this.#lease.client.headPosition(filter);
    if (head <= this.#progress.eventPosition) return [];
    const late = await this.#call.take(silenceLimit, signal);
    if (late.length > 0 || signal.aborted) return late;
    throw new PassingFault(`the event store holds an event at position ${head} and does not send it`);
  }
}

/** What has arrived and was not given yet, and how far the log has been read. */
class Progress {
  readonly #head: bigint;
  /** Of the last event that arrived, ours or not. */
  #eventPosition: bigint;
  #position: bigint;
  #givenPosition: bigint;
  #events: RecordedEvent[] = [];
  #isLive: boolean;
  #isLiveGiven = false;

  /** @param head Of the log before the subscription began: whoever has passed it has caught up. */
  constructor(after: bigint, head: bigint) {
    this.#head = head;
    this.#eventPosition = after;
    this.#position = after;
    this.#givenPosition = after;
    this.#isLive = after >= head;
  }

  get eventPosition(): bigint {
    return this.#eventPosition;
  }

  get hasEvents(): boolean {
    return this.#events.length > 0;
  }

  /** While it catches up, events are gathered into large batches; live ones are given at once. */
  get isDue(): boolean {
    if (!this.#isLive) return this.#events.length >= batchSize;
    return this.hasEvents || !this.#isLiveGiven || this.#position > this.#givenPosition;
  }

  add(response: ReadResponse): void {
    const position = positionOf(response);
    if (response.hasEvent()) this.#addEvent(response, position);
    // Of no use before it has caught up: a server may then send one at the log's end, and events before that after it.
    else if (this.#isLive && position !== undefined) this.#advance(position);
    if (response.hasCaughtUp() || this.#eventPosition >= this.#head) this.#isLive = true;
    // Nothing up to the head is still to come, though the filter may have left out its last events.
    if (this.#isLive) this.#advance(this.#head);
  }

  #addEvent(response: ReadResponse, position: bigint | undefined): void {
    if (position === undefined || position <= this.#eventPosition) return;
    const event = recordedEvent(response);
    if (event !== undefined) this.#events.push(event);
    this.#eventPosition = position;
    this.#advance(position);
  }

  /** Forward only: a store may send an old checkpoint again. */
  #advance(position: bigint): void {
    if (position > this.#position) this.#position = position;
  }

  take(): SubscriptionBatch {
    const batch = { events: this.#events, position: this.#position, caughtUp: this.#isLive };
    this.#events = [];
    this.#givenPosition = this.#position;
    this.#isLiveGiven = this.#isLive;
    return batch;
  }
}
