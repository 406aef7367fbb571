import type { KeyObject } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type CurveAlgorithm, jwsSeparator, signOnCurve } from './jws.ts';

/** What the thread is sent: a key before its first use, then batches for it, each answered by the signed ones in the same order. */
export type SigningThreadMessage =
  | { readonly key: number; readonly algorithm: CurveAlgorithm; readonly privateKey: KeyObject }
  | { readonly key: number; readonly unsigned: string };

interface Waiting {
  readonly unsigned: string;
  readonly algorithm: CurveAlgorithm;
  readonly privateKey: KeyObject;
  readonly resolve: (signed: string) => void;
  readonly reject: (error: unknown) => void;
}

/** Fewer are signed on the spot: the way to the thread and back costs as much. */
const smallestBatch = 4;
/** So many are sent before the rest has arrived: neither thread is to wait for the other. */
const largestBatch = 16;

/**
 * Signs what waits at the same time as one batch on a thread of its own, so that a second core takes the largest part of a
 * grant. A few are signed on the spot: a process that is not busy never starts the thread.
 */
export class SigningThread {
  #worker: Worker | undefined;
  #waiting: Waiting[] = [];
  /** Batches that the thread has, oldest first. */
  #sent: (readonly Waiting[])[] = [];
  /** The numbers by which the thread knows keys. */
  readonly #known = new Map<KeyObject, number>();

  /** @param unsigned as `signOnCurve` takes it */
  sign(unsigned: string, algorithm: CurveAlgorithm, privateKey: KeyObject): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    // After the requests that have arrived so far were read.
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push({ unsigned, algorithm, privateKey, resolve, reject });
    if (this.#waiting.length === largestBatch) this.#flush();
    return promise;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    // When the signing key has just changed there are two.
    for (const batch of Map.groupBy(waiting, ({ privateKey }) => privateKey).values()) {
      if (batch.length < smallestBatch || !this.#isSent(batch)) for (const one of batch) signHere(one);
    }
  }

  /** False where the system gives no thread. */
  #isSent(batch: readonly Waiting[]): boolean {
    try {
      this.#send(batch);
      return true;
    } catch {
      return false;
    }
  }

  #send(batch: readonly Waiting[]): void {
    const [first] = batch;
    if (first === undefined) return;
    const worker = this.#worker ?? this.#start();
    const send = (message: SigningThreadMessage) => worker.postMessage(message);
    const { algorithm, privateKey } = first;
    let key = this.#known.get(privateKey);
    if (key === undefined) {
      key = this.#known.size;
      this.#known.set(privateKey, key);
      send({ key, algorithm, privateKey });
    }
    send({ key, unsigned: batch.map(({ unsigned }) => unsigned).join(jwsSeparator) });
    this.#sent.push(batch);
  }

  #start(): Worker {
    const script = new URL(`./signing-worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(script);
    worker.unref();
    worker.on('message', (text: string) => {
      const signed = text.split(jwsSeparator);
      const batch = this.#sent.shift() ?? [];
      for (const [place, { resolve }] of batch.entries()) resolve(signed[place] ?? '');
    });
    // Without the thread nothing is lost: what it had is signed here, and the next batch starts another.
    worker.on('error', () => {});
    worker.on('exit', () => {
      this.#worker = undefined;
      this.#known.clear();
      for (const one of this.#sent.splice(0).flat()) signHere(one);
    });
    this.#worker = worker;
    return worker;
  }
}

function signHere({ unsigned, algorithm, privateKey, resolve, reject }: Waiting): void {
  try {
    resolve(signOnCurve(unsigned, algorithm, privateKey));
  } catch (error) {
    reject(error);
  }
}
