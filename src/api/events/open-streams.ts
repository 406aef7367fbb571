import { KeyturnError } from '../../domain/errors.ts';

/** Counts the open event streams of each user, and ends them all when the server stops. */
export class OpenStreams {
  readonly #limit: number;
  readonly #streams = new Map<string, Set<AbortController>>();

  /** @param limit for each user */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * @returns aborted when the stream has to end
   * @throws KeyturnError `TOO_MANY_STREAMS`
   */
  open(userId: string): AbortController {
    const streams = this.#streams.get(userId) ?? new Set();
    if (streams.size >= this.#limit) throw new KeyturnError('TOO_MANY_STREAMS');
    const controller = new AbortController();
    this.#streams.set(userId, streams.add(controller));
    controller.signal.addEventListener('abort', () => this.#forget(userId, controller), { once: true });
    return controller;
  }

  endAll(): void {
    for (const streams of [...this.#streams.values()]) for (const stream of [...streams]) stream.abort();
  }

  #forget(userId: string, controller: AbortController): void {
    const streams = this.#streams.get(userId);
    streams?.delete(controller);
    if (streams?.size === 0) this.#streams.delete(userId);
  }
}
