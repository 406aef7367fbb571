import { Readable } from 'node:stream';
import { KeyturnError } from '../../domain/errors.ts';
import type { EventFeed } from '../../subscriptions/event-feed.ts';
import type { EventSelection } from '../../subscriptions/feed-event.ts';
import type { Authorizer, Credentials } from '../authorization.ts';
import type { CatchUpThread } from './catch-up-thread.ts';
import { authorizeReader } from './event-reader.ts';
import type { EventStreamQuery } from './event-stream-query.ts';
import type { EventTexts } from './event-texts.ts';

export interface EventStreamDependencies {
  readonly authorizer: Authorizer;
  readonly feed: EventFeed & {
    readonly isRunning: boolean;
    readonly position: bigint;
    readonly accessVersion: number;
  };
  /** Absent where the log is no file of this process. */
  readonly catchUp: CatchUpThread | undefined;
  /** The issuer, as events name it. */
  readonly source: () => string;
  /** In milliseconds: a stream is silent no longer than this. */
  readonly heartbeatInterval: number;
  /** In milliseconds: how long a reader may take to read what was sent, before it is dropped. */
  readonly slowReaderLimit: number;
}

/** Who reads what. */
export interface EventStreamReader {
  readonly credentials: Credentials;
  readonly query: EventStreamQuery;
  readonly selection: EventSelection;
  /** Behind the position in each id. */
  readonly idSuffix: string;
}

/** Told of the ends that neither the reader nor its rights have made. */
export interface EventStreamEnds {
  /** The reader is too slow. */
  readonly onDrop: () => void;
  /** What comes next cannot be told. */
  readonly onFailure: (error: Error) => void;
}

/** What is sent of a part of the log, which ends at the position. */
interface EventPart {
  readonly text: string;
  readonly position: bigint;
}

/** In milliseconds: how old a check of the caller's token may be when an event is sent. */
const accessCheckInterval = 1000;
/** In milliseconds: when an EventSource connects again. */
const reconnectDelay = 1000;

/** What one caller is sent. */
export class EventStream {
  readonly #dependencies: EventStreamDependencies;
  readonly #eventTexts: EventTexts;
  readonly #reader: EventStreamReader;
  readonly #signal: AbortSignal;
  #checkedVersion: number;
  #checkedAt = performance.now();
  #sentAt = performance.now();

  constructor(
    dependencies: EventStreamDependencies,
    eventTexts: EventTexts,
    reader: EventStreamReader,
    signal: AbortSignal,
  ) {
    this.#dependencies = dependencies;
    this.#eventTexts = eventTexts;
    this.#reader = reader;
    this.#signal = signal;
    this.#checkedVersion = dependencies.feed.accessVersion;
  }

  /**
   * What is not read yet stays in the log, not in memory. Destroyed when the reader is too slow. Ends when it cannot go on: what was given
   * before then arrives.
   */
  open({ onDrop, onFailure }: EventStreamEnds): Readable {
    const drop = () => {
      onDrop();
      stream.destroy();
    };
    const stream: Readable = Readable.from(this.#whileRead(drop, onFailure), { highWaterMark: 1 });
    return stream;
  }

  async *#whileRead(drop: () => void, onFailure: (error: Error) => void): AsyncGenerator<string> {
    for await (const text of this.#textsUntilFailure(onFailure)) {
      const timer = setTimeout(drop, this.#dependencies.slowReaderLimit);
      try {
        yield text;
      } finally {
        clearTimeout(timer);
      }
      this.#sentAt = performance.now();
    }
  }

  async *#textsUntilFailure(onFailure: (error: Error) => void): AsyncGenerator<string> {
    try {
      yield* this.#texts();
    } catch (error) {
      onFailure(error as Error);
    }
  }

  async *#texts(): AsyncGenerator<string> {
    const { feed, heartbeatInterval } = this.#dependencies;
    const { query, idSuffix } = this.#reader;
    const after = query.after ?? feed.position;
    // With an id, so that a reader that is cut off before the first event misses nothing.
    yield `retry: ${reconnectDelay}\nid: ${after}${idSuffix}\n\n`;
    for await (const { text, position } of this.#parts(after)) {
      if (!(await this.#mayStillRead())) return;
      if (text.length > 0) yield text;
      else if (performance.now() - this.#sentAt >= heartbeatInterval * 0.9)
        yield `: heartbeat\nid: ${position}${idSuffix}\n\n`;
    }
  }

  /** From the feed, and as long as the reader is far behind from the thread that catches up. */
  async *#parts(after: bigint): AsyncGenerator<EventPart> {
    const { feed, catchUp, source } = this.#dependencies;
    const { selection, idSuffix } = this.#reader;
    const form = { selection, idSuffix };
    const formKey = JSON.stringify(form);
    const isForThread = () => catchUp?.isFor(feed.position - position) ?? false;
    let position = after;
    while (!this.#signal.aborted && feed.isRunning) {
      if (catchUp !== undefined && isForThread()) {
        const request = { after: position, source: source(), ...form };
        for await (const part of catchUp.parts(request, feed, this.#signal)) {
          position = part.position;
          yield part;
        }
      }
      for await (const batch of feed.follow({ after: position, signal: this.#signal })) {
        position = batch.position;
        yield { text: this.#eventTexts.textOf(batch, form, formKey), position };
        if (isForThread()) break;
      }
    }
  }

  /** Not asked for each event: only when something happened that may have changed it, and from time to time. */
  async #mayStillRead(): Promise<boolean> {
    const { feed, authorizer } = this.#dependencies;
    const isRecent = performance.now() - this.#checkedAt < accessCheckInterval;
    if (isRecent && feed.accessVersion === this.#checkedVersion) return true;
    this.#checkedVersion = feed.accessVersion;
    this.#checkedAt = performance.now();
    const { credentials, query, selection: before } = this.#reader;
    // A proof counts once: it did when the stream was opened.
    const proven: Credentials = { ...credentials, proof: credentials.proof && 'earlier' };
    try {
      const { selection } = await authorizeReader(authorizer, proven, query);
      return selection.organizationId === before.organizationId;
    } catch (error) {
      if (error instanceof KeyturnError) return false;
      throw error;
    }
  }
}
