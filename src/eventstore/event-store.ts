/** JSON as an event holds it. 64-bit integers are stored as decimal strings: JSON numbers lose precision past 2^53. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export interface NewEvent {
  /** A UUID made by the caller, who repeats it when it repeats the append. */
  readonly id: string;
  readonly type: string;
  readonly data: JsonObject;
  readonly metadata: JsonObject;
}

export interface RecordedEvent extends NewEvent {
  readonly stream: string;
  /** 0-based place in its stream, without gaps. */
  readonly revision: bigint;
  /** Place in the log of all streams: grows, may have gaps. */
  readonly position: bigint;
  /** When the store wrote it, by the store's clock. Informative: nothing is ordered or decided by it. */
  readonly recordedAt: Date;
}

/**
 * What must be true of a stream for an append to it to happen:
 * `any` nothing, `no_stream` it holds no event, `stream_exists` it holds one at least,
 * a bigint: its last event has that revision.
 */
export type ExpectedRevision = 'any' | 'no_stream' | 'stream_exists' | bigint;

export interface AppendResult {
  /** Revision of the last event of the append. */
  readonly revision: bigint;
  /** Position of the last event of the append. */
  readonly position: bigint;
}

export type Direction = 'forwards' | 'backwards';

/** Keeps the events whose stream name, or whose type, starts with one of the prefixes. */
export type EventFilter =
  | { readonly streamPrefixes: readonly string[] }
  | { readonly typePrefixes: readonly string[] };

export interface ReadStreamOptions {
  /** The first revision to read. Default: the stream's first event forwards, its last backwards. */
  readonly from?: bigint;
  readonly direction?: Direction;
  readonly limit?: number;
}

export interface ReadAllOptions {
  /** Exclusive: reading begins with the next event in the direction. Default: the log's begin forwards, its end backwards. */
  readonly after?: bigint;
  readonly direction?: Direction;
  readonly filter?: EventFilter;
  readonly limit?: number;
}

export interface SubscribeOptions {
  /** Exclusive, as everywhere. Default: from the log's begin. */
  readonly after?: bigint;
  readonly filter?: EventFilter;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
}

export interface SubscriptionBatch {
  /** In log order. Empty where the filter left out all that was read. */
  readonly events: readonly RecordedEvent[];
  /** How far the log has been read: a checkpoint to resume after. Past the last event where a filter left some out. */
  readonly position: bigint;
  /** The subscription has read all that the log held when this batch was read. */
  readonly caughtUp: boolean;
}

/**
 * The most bytes of one append: the JSON of data and metadata of all events, and two for each UTF-16 unit of their
 * types. EventStoreDB's default, counted as it counts, and held by every adapter.
 */
export const maxAppendBytes = 1024 * 1024;

/**
 * A log of immutable events in streams.
 *
 * `test/contract/event-store.contract.ts` is the exact meaning of this port: every adapter passes it.
 */
export interface EventStore {
  /**
   * Appends all of `events` to `stream`, or none, and returns once they are durable.
   *
   * Repeating an append with the same event ids and the same expected revision returns the result of the first
   * one, so a caller that lost the answer can repeat it. With `any` and `stream_exists` that holds for a recent
   * append only.
   *
   * @throws WrongExpectedRevisionError the stream is not as expected
   * @throws AppendTooLargeError the events are larger than {@link maxAppendBytes}
   * @throws EventStoreClosedError the store was closed
   * @throws EventStoreUnavailableError the store did not answer in time; the append may have landed
   * @throws TypeError no events, or an event id that is not a UUID
   */
  append(
    stream: string,
    events: readonly NewEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<AppendResult>;
  /**
   * The events of one stream; none when there is no such stream.
   *
   * @throws UnreadableEventError once all that stands before the event, in the direction, was given
   */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>;
  /**
   * Whether it is known at once, from memory, that the stream has no event from `from` on: then nobody needs to read it. A store that
   * other processes write to knows that of no stream, and does without.
   */
  endsBefore?(stream: string, from: bigint): boolean;
  /**
   * The events of all streams in log order.
   *
   * @throws UnreadableEventError once all that stands before the event, in the direction, was given
   */
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>;
  /**
   * Catches up with the log, then follows it: every event once, in order. Never ends before `signal` or `close`.
   *
   * @throws UnreadableEventError once all that stands before the event was given
   */
  subscribe(options?: SubscribeOptions): AsyncIterable<SubscriptionBatch>;
  /** Finishes the appends under way, ends subscriptions and releases everything. */
  close(): Promise<void>;
}
