/** An event as the store keeps it. */
export interface StoredEvent {
  readonly stream: string;
  readonly revision: bigint;
  readonly position: bigint;
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** In ticks of 100 nanoseconds since 1970. */
  readonly created: bigint;
}

export type ProposedEvent = Pick<StoredEvent, 'id' | 'type' | 'contentType' | 'data' | 'metadata'>;

/** As the protocol has it: a revision, or one of the three words. */
export type Expected = bigint | 'any' | 'no_stream' | 'stream_exists';

export type AppendOutcome =
  | { readonly revision: bigint; readonly position: bigint }
  | { readonly actual: bigint | 'no_stream' };

/**
 * The log of an EventStoreDB node: what it appends, refuses and takes for a repetition. The rules are those of the
 * server's `IndexWriter.CheckCommit`, and were compared with a running one.
 *
 * It outlives the server that serves it, as a disk does.
 */
export class StoreLog {
  readonly events: StoredEvent[] = [];
  readonly #streams = new Map<string, StoredEvent[]>();
  readonly #byId = new Map<string, StoredEvent>();
  #end = 0n;
  #grown = Promise.withResolvers<void>();

  constructor() {
    // A new node has events of its own before the first of a client.
    for (const type of ['$metadata', '$UserUpdated', '$UserCreated']) this.#appendOwn(type);
  }

  /** Resolves with the next append. */
  get grown(): Promise<void> {
    return this.#grown.promise;
  }

  /** All events that were ever in the stream. */
  stream(name: string): readonly StoredEvent[] {
    return this.#streams.get(name) ?? [];
  }

  /** Those that reads of the stream still give; undefined when there is no such stream. The log of all streams gives the others too. */
  readable(name: string): readonly StoredEvent[] | undefined {
    const held = this.stream(name);
    if (held.length === 0) return undefined;
    const { maxCount = held.length, truncateBefore = 0 } = this.#metadataOf(name);
    return held.slice(Math.max(held.length - maxCount, truncateBefore));
  }

  append(stream: string, proposed: readonly ProposedEvent[], expected: Expected): AppendOutcome {
    const held = this.stream(stream);
    const current = held.at(-1)?.revision ?? -1n;
    const conflict = { actual: current < 0n ? 'no_stream' : current } as const;
    if (expected === 'stream_exists' && current < 0n) return conflict;
    const repeated =
      expected === 'any' || expected === 'stream_exists'
        ? this.#repeatedByIds(stream, proposed)
        : this.#repeatedAt(held, proposed, expected === 'no_stream' ? -1n : expected);
    if (repeated === 'in part') return conflict;
    if (repeated !== undefined) return { revision: repeated.revision, position: repeated.position };
    const wanted = expected === 'no_stream' ? -1n : expected;
    if (typeof wanted === 'bigint' && wanted !== current) return conflict;
    let last: StoredEvent | undefined;
    for (const event of proposed) last = this.#store(stream, event);
    this.#announce();
    return last ? { revision: last.revision, position: last.position } : conflict;
  }

  /** Writes an event of the store itself, as it does at any time. */
  appendOwn(type: string): void {
    this.#appendOwn(type);
    this.#announce();
  }

  /** Only which ids the stream holds is looked at, not at which revisions. */
  #repeatedByIds(stream: string, proposed: readonly ProposedEvent[]): StoredEvent | 'in part' | undefined {
    const known = proposed
      .map(({ id }) => this.#byId.get(id))
      .map((one) => (one?.stream === stream ? one : undefined));
    if (known[0] === undefined) return undefined;
    return known.includes(undefined) ? 'in part' : known.at(-1);
  }

  #repeatedAt(
    held: readonly StoredEvent[],
    proposed: readonly ProposedEvent[],
    expected: bigint,
  ): StoredEvent | 'in part' | undefined {
    const first = Number(expected + 1n);
    const same = proposed.map(({ id }, index) => held[first + index]?.id === id);
    if (same[0] !== true) return undefined;
    return same.includes(false) ? 'in part' : held[first + proposed.length - 1];
  }

  /** Of a stream's metadata, what hides events of it: the last event of `$$<stream>` says it, where it is JSON. */
  #metadataOf(name: string): { readonly maxCount?: number; readonly truncateBefore?: number } {
    if (name.startsWith('$$')) return { maxCount: 1 };
    const last = this.stream(`$$${name}`).at(-1);
    if (last?.contentType !== 'application/json') return {};
    const { $maxCount: maxCount, $tb: truncateBefore } = JSON.parse(new TextDecoder().decode(last.data));
    return {
      ...(maxCount !== undefined && { maxCount }),
      ...(truncateBefore !== undefined && { truncateBefore }),
    };
  }

  #appendOwn(type: string): void {
    const data = new TextEncoder().encode('{}');
    const id = crypto.randomUUID();
    this.#store(`$stats-${type}`, { id, type, contentType: 'application/json', data, metadata: data });
  }

  #store(stream: string, event: ProposedEvent): StoredEvent {
    // Records have lengths, so positions have gaps.
    this.#end += BigInt(100 + event.data.length + event.metadata.length);
    const held = this.#streams.get(stream) ?? [];
    this.#streams.set(stream, held);
    const stored: StoredEvent = {
      ...event,
      stream,
      revision: BigInt(held.length),
      position: this.#end,
      created: BigInt(Date.now()) * 10_000n,
    };
    held.push(stored);
    this.events.push(stored);
    this.#byId.set(stored.id, stored);
    return stored;
  }

  #announce(): void {
    const { resolve } = this.#grown;
    this.#grown = Promise.withResolvers();
    resolve();
  }
}
