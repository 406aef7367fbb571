import { KeyturnError } from '../domain/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import type { ReadModel } from './read-model.ts';

export interface ProjectorOptions {
  readonly eventStore: EventStore;
  readonly readModel: ReadModel;
  readonly clock: () => Date;
  /** Told after every batch. `caughtUp`: the read model shows all that the log holds. */
  readonly onProgress?: (progress: { readonly position: bigint; readonly caughtUp: boolean }) => void;
}

/** How long a caller waits for its own write to show, in milliseconds. */
const waitLimit = 5000;

/** In milliseconds: how long what was projected waits to be saved, so that many batches are saved at once. */
const saveInterval = 50;

interface Waiter {
  readonly position: bigint;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Feeds the read model from the log, and lets callers wait until it shows a position. */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #stop = new AbortController();
  readonly #waiters = new Set<Waiter>();
  readonly #caughtUp = Promise.withResolvers<void>();
  #position = 0n;
  #updatedAt: Date;
  #running: Promise<void> | undefined;
  #isCaughtUp = false;
  #failure: unknown;
  #savedAt = 0;
  /** Of somebody who was erased. */
  #hasTraces = false;
  #saving: NodeJS.Timeout | undefined;

  constructor(options: ProjectorOptions) {
    this.#options = options;
    this.#updatedAt = options.clock();
    // Whoever starts the projector learns of a failure through `finished`.
    this.#caughtUp.promise.catch(() => {});
  }

  /** Goes on from the read model's checkpoint. */
  start(): void {
    this.#running ??= this.#run().catch((error) => this.#fail(error));
  }

  /** How far the read model has come. */
  get position(): bigint {
    return this.#position;
  }

  /** How far the read model has come, and when it was found to be there. */
  get progress(): { readonly position: bigint; readonly updatedAt: Date } {
    return { position: this.#position, updatedAt: this.#updatedAt };
  }

  /** The read model has shown all of the log once, and the projector has not failed since. */
  get isReady(): boolean {
    return this.#isCaughtUp && this.#failure === undefined;
  }

  /** Resolves when the read model shows all that the log held at some moment since the start. */
  get caughtUp(): Promise<void> {
    return this.#caughtUp.promise;
  }

  /** Resolves after `stop`. Rejects when an event could not be projected: the read model then stands still. */
  async finished(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Resolves once the read model shows everything up to `position`.
   *
   * @throws KeyturnError `READ_MODEL_BEHIND` when that takes too long, or can no longer happen
   */
  async waitFor(position: bigint): Promise<void> {
    if (this.#position >= position) return;
    if (this.#failure !== undefined || this.#stop.signal.aborted) throw new KeyturnError('READ_MODEL_BEHIND');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { position, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => reject(new KeyturnError('READ_MODEL_BEHIND')), waitLimit);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  /** Saves what was projected. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#rejectWaiters();
    if (this.#saving !== undefined) this.#saveNow();
  }

  async #run(): Promise<void> {
    const { eventStore, readModel, clock, onProgress } = this.#options;
    this.#position = readModel.checkpoint()?.position ?? 0n;
    readModel.holdOpen();
    const subscription = eventStore.subscribe({ after: this.#position, signal: this.#stop.signal });
    for await (const { events, position, caughtUp } of subscription) {
      readModel.apply(events);
      if (events.some(({ type }) => type === 'MachineUserErased')) this.#save({ withoutTraces: true });
      else this.#saveSoon();
      this.#position = position;
      this.#updatedAt = clock();
      this.#resolveWaiters();
      if (caughtUp) {
        this.#isCaughtUp = true;
        this.#caughtUp.resolve();
      }
      onProgress?.({ position, caughtUp });
    }
  }

  /** A timer gets no turn while the log is caught up with: then it is seen to after a batch. */
  #saveSoon(): void {
    if (performance.now() - this.#savedAt > saveInterval) this.#save();
    else this.#saving ??= setTimeout(() => this.#saveNow(), saveInterval);
  }

  #saveNow(): void {
    try {
      this.#save();
    } catch (error) {
      // What could not be saved may be gone from the read model too.
      this.#fail(error);
    }
  }

  /** @param withoutTraces what was deleted is overwritten. Where another process reads the file, that is tried again. */
  #save({ withoutTraces = this.#hasTraces } = {}): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    this.#savedAt = performance.now();
    this.#options.readModel.save();
    if (!withoutTraces) return;
    this.#hasTraces = !this.#options.readModel.dropTraces();
    if (this.#hasTraces) this.#saving = setTimeout(() => this.#saveNow(), saveInterval);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#caughtUp.reject(error);
    this.#rejectWaiters();
    this.#stop.abort();
  }

  #resolveWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.position <= this.#position) waiter.resolve();
  }

  #rejectWaiters(): void {
    for (const waiter of this.#waiters) waiter.reject(new KeyturnError('READ_MODEL_BEHIND'));
  }
}
