import type {
  AppendResult,
  EventStore,
  ExpectedRevision,
  NewEvent,
  SubscribeOptions,
} from '../../src/eventstore/event-store.ts';

export class ProcessEndedError extends Error {
  constructor() {
    super('the process has ended');
  }
}

/** At which append, counted from now on, a process ends, and whether that one is still stored. */
export interface Death {
  readonly append: number;
  readonly isStored: boolean;
}

/** An event store as seen by a process that ends at a chosen moment: from then on nothing goes in and nothing comes out. */
export class MortalEventStore implements EventStore {
  readonly #store: EventStore;
  readonly #end = new AbortController();
  #death: Death | undefined;

  constructor(store: EventStore) {
    this.#store = store;
  }

  /** Aborted when the process ends. */
  get end(): AbortSignal {
    return this.#end.signal;
  }

  dieAt(death: Death): void {
    this.#death = death;
  }

  die(): void {
    this.#end.abort();
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<AppendResult> {
    this.#requireAlive();
    const death = this.#death && { ...this.#death, append: this.#death.append - 1 };
    this.#death = death;
    if (death?.append !== 0) return this.#store.append(stream, events, expectedRevision);
    // At once, so that nobody else hears of what is stored last.
    this.die();
    if (death.isStored) await this.#store.append(stream, events, expectedRevision);
    throw new ProcessEndedError();
  }

  readStream(...read: Parameters<EventStore['readStream']>) {
    this.#requireAlive();
    return this.#store.readStream(...read);
  }

  readAll(...read: Parameters<EventStore['readAll']>) {
    this.#requireAlive();
    return this.#store.readAll(...read);
  }

  subscribe({ signal, ...options }: SubscribeOptions = {}) {
    this.#requireAlive();
    const stop = AbortSignal.any([this.#end.signal, ...(signal ? [signal] : [])]);
    return this.#store.subscribe({ ...options, signal: stop });
  }

  /** What the operating system does to the files of a process that has ended. */
  async close(): Promise<void> {
    this.die();
    await this.#store.close();
  }

  #requireAlive(): void {
    if (this.#end.signal.aborted) throw new ProcessEndedError();
  }
}
