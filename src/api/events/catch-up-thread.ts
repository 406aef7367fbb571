import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import type {
  StoredFeedOptions,
  StoredFeedPart,
  StoredFeedRequest,
} from '../../subscriptions/stored-feed.ts';

/** What the thread is sent. */
export interface CatchUpRequest extends StoredFeedRequest {
  readonly idSuffix: string;
}

/** What it answers: that it has started, and then the texts of each request, or that they cannot be made. */
export type CatchUpAnswer = 'ready' | 'failed' | StoredFeedPart;

/** So far behind, in events, a reader is worth a thread: it takes as long to start as to read some thousands here. */
const farBehind = 10_000n;
/** The last of them come from the feed, which keeps them while anybody follows it, and else reads them from the store. */
const almostThere = 256n;
/** How many parts are kept, and for how long, in milliseconds: readers that catch up together share them. */
const keptParts = { max: 16, ttl: 10_000 } as const;
/** In milliseconds: the thread ends when nobody has asked it for so long. It takes memory. */
const patience = 10_000;
/** In milliseconds: how long a thread that failed is not started again. */
const pauseAfterFailure = 30_000;

export interface CatchUpOptions {
  readonly log: StoredFeedOptions;
  /** Told when the thread cannot be started, or ends by an error. Readers do not notice. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Makes the texts for readers that are far behind on a thread of its own, which reads the log file by itself. This thread only
 * hands them to the sockets.
 *
 * Whatever the thread cannot do is left to the feed: it meets the same event, and says what is wrong with it.
 */
export class CatchUpThread {
  readonly #options: CatchUpOptions;
  readonly #parts = new LRUCache<string, Promise<StoredFeedPart | undefined>>(keptParts);
  #worker: Worker | undefined;
  #isReady = false;
  #erasures = 0;
  /** As `performance.now()`: when a thread may be started. */
  #notBefore = 0;
  /** Who waits for answers, oldest first. */
  #asked: ((part: StoredFeedPart | undefined) => void)[] = [];
  #end: NodeJS.Timeout | undefined;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Whether the next texts are to come from here. The first time they are not: the thread is then started. */
  isFor(behind: bigint): boolean {
    if (behind < farBehind) return false;
    if (this.#worker === undefined && performance.now() >= this.#notBefore) this.#start();
    return this.#isReady;
  }

  /**
   * Until almost nothing is left, or the thread cannot go on. What is not asked for is not read, but for the next part.
   *
   * @param told how far the log may be told
   */
  async *parts(
    request: Omit<CatchUpRequest, 'until'>,
    told: { readonly position: bigint },
    signal: AbortSignal,
  ): AsyncGenerator<StoredFeedPart> {
    const formKey = JSON.stringify([request.selection, request.idSuffix]);
    const ask = (after: bigint) => {
      if (told.position - after < almostThere) return undefined;
      const part = this.#partOnce({ ...request, after, until: told.position }, `${after} ${formKey}`);
      return { part, erasures: this.#erasures };
    };
    let position = request.after;
    let next = ask(position);
    while (next !== undefined && !signal.aborted) {
      const part = await next.part;
      if (part === undefined) return;
      // It may tell who somebody was who is erased now. A reader takes it long after it was made.
      if (next.erasures !== this.#erasures) {
        next = ask(position);
        continue;
      }
      position = part.position;
      next = ask(position);
      yield part;
    }
  }

  /** Somebody was erased: what was made before is not given any more. */
  forget(): void {
    this.#erasures++;
    this.#parts.clear();
  }

  async close(): Promise<void> {
    clearTimeout(this.#end);
    await this.#worker?.terminate();
  }

  #partOnce(request: CatchUpRequest, key: string): Promise<StoredFeedPart | undefined> {
    // The ids of such a stream are its own: nobody else wants the same.
    if (request.idSuffix !== '') return this.#part(request);
    const part = this.#parts.get(key) ?? this.#part(request);
    this.#parts.set(key, part);
    return part;
  }

  #part(request: CatchUpRequest): Promise<StoredFeedPart | undefined> {
    const worker = this.#worker;
    if (worker === undefined || !this.#isReady) return Promise.resolve(undefined);
    this.#endLater();
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      worker.postMessage(request);
    });
  }

  #start(): void {
    try {
      this.#worker = this.#startedWorker();
      this.#endLater();
    } catch (error) {
      // The system gives no thread.
      this.#onFailure(error);
    }
  }

  #onFailure(error: unknown): void {
    this.#notBefore = performance.now() + pauseAfterFailure;
    this.#options.onFailure(error);
  }

  #startedWorker(): Worker {
    const script = new URL(`./catch-up-worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(script, { workerData: this.#options.log });
    worker.unref();
    worker.on('message', (answer: CatchUpAnswer) => {
      if (answer === 'ready') this.#isReady = true;
      else this.#asked.shift()?.(answer === 'failed' ? undefined : answer);
    });
    worker.on('error', (error) => this.#onFailure(error));
    worker.on('exit', () => {
      this.#worker = undefined;
      this.#isReady = false;
      this.#parts.clear();
      for (const resolve of this.#asked.splice(0)) resolve(undefined);
    });
    return worker;
  }

  #endLater(): void {
    const worker = this.#worker;
    clearTimeout(this.#end);
    this.#end = setTimeout(() => void worker?.terminate(), patience).unref();
  }
}
