import type { EventStore } from '../eventstore/event-store.ts';
import { type FeedEvent, FeedEventReader } from './feed-event.ts';

export interface FollowOptions {
  /** Exclusive. */
  readonly after: bigint;
  /** Default: all. Without it, followers at the same place may be given one and the same batch. */
  readonly accept?: (event: FeedEvent) => boolean;
  /** Ends the iteration, without an error. */
  readonly signal: AbortSignal;
}

export interface FeedBatch {
  /** The accepted ones, in log order. Empty where all that was read was left out. */
  readonly events: readonly FeedEvent[];
  /** How far the log has been read: a position to go on after. */
  readonly position: bigint;
}

/** The log as subscribers follow it. */
export interface EventFeed {
  /**
   * Catches up with the log, then follows it. What is not asked for is not read: a slow reader falls behind, no more.
   *
   * @throws UnreadableEventError, EventSchemaError once all that stands before the event was given
   */
  follow(options: FollowOptions): AsyncIterable<FeedBatch>;
  /** The event at a place in a stream, or undefined where there is none. */
  eventAt(stream: string, revision: bigint): Promise<FeedEvent | undefined>;
}

/** A feed whose followers read the store each on their own. */
export class StoreFeed implements EventFeed {
  readonly #eventStore: EventStore;
  readonly #reader: FeedEventReader;

  constructor(eventStore: EventStore, source: () => string) {
    this.#eventStore = eventStore;
    this.#reader = new FeedEventReader(eventStore, source);
  }

  async *follow({ after, accept, signal }: FollowOptions): AsyncGenerator<FeedBatch> {
    for await (const batch of this.#eventStore.subscribe({ after, signal })) {
      const events: FeedEvent[] = [];
      try {
        for (const recorded of batch.events) {
          const event = await this.#reader.read(recorded);
          if (accept?.(event) ?? true) events.push(event);
        }
      } catch (error) {
        const last = events.at(-1);
        if (last !== undefined) yield { events, position: last.position };
        throw error;
      }
      yield { events, position: batch.position };
    }
  }

  async eventAt(stream: string, revision: bigint): Promise<FeedEvent | undefined> {
    for await (const recorded of this.#eventStore.readStream(stream, { from: revision, limit: 1 })) {
      return this.#reader.read(recorded);
    }
    return undefined;
  }
}
