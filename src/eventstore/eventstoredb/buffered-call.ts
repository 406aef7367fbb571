import type { ClientReadableStream } from '@grpc/grpc-js';
import { PassingFault } from './faults.ts';
import type { ReadResponse } from './protocol.ts';
import { faultOf } from './store-client.ts';

/** How many answers are held for a slow reader. Past it the store is made to wait (HTTP/2 flow control). */
const bufferLimit = 512;

/** The answers of a call in their order, taken together as they have arrived. */
export class BufferedCall {
  readonly #call: ClientReadableStream<ReadResponse>;
  #arrived: ReadResponse[] = [];
  #failure: Error | undefined;
  #wake: () => void = () => {};

  constructor(call: ClientReadableStream<ReadResponse>) {
    this.#call = call;
    // Listened to from the first moment: an error that nobody hears ends the process.
    call.on('error', (error) => this.#end(faultOf(error, '$all')));
    call.on('end', () => this.#end(new PassingFault('the event store ended a subscription')));
    call.on('data', (response: ReadResponse) => {
      this.#arrived.push(response);
      if (this.#arrived.length >= bufferLimit) call.pause();
      this.#wake();
    });
  }

  /**
   * All that has arrived and was not taken: at least one answer, or none when `milliseconds` have passed or on `signal`.
   * Throws once the call has failed or ended and all answers are taken.
   */
  async take(milliseconds: number, signal: AbortSignal): Promise<readonly ReadResponse[]> {
    if (this.#arrived.length === 0 && this.#failure === undefined && !signal.aborted) {
      await this.#arrival(milliseconds, signal);
    }
    const taken = this.#arrived;
    if (taken.length === 0 && this.#failure !== undefined) throw this.#failure;
    this.#arrived = [];
    this.#call.resume();
    return taken;
  }

  cancel(): void {
    this.#call.cancel();
  }

  async #arrival(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.#wake = resolve;
    const stop = () => resolve();
    signal.addEventListener('abort', stop);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  #end(failure: Error): void {
    this.#failure ??= failure;
    this.#wake();
  }
}
