import pRetry from 'p-retry';
import { EventStoreUnavailableError } from '../errors.ts';
import type { ConnectionSettings, Endpoint } from './connection-string.ts';
import { PassingFault } from './faults.ts';
import { StoreClient } from './store-client.ts';

/** A client and how many are using it: it is closed when it is to be replaced and the last of them is done. */
interface Generation {
  readonly client: Promise<StoreClient>;
  users: number;
  retired: boolean;
}

export interface Lease {
  readonly client: StoreClient;
  /** @param fault why the use ended, where it failed */
  release(fault?: unknown): void;
}

/** Told of every change: whether the last call reached the store, and why it did not. */
export type OnReachable = (reachable: boolean, fault?: Error) => void;

/** So many faults in a row, and the client is replaced, whatever they were. */
const faultsBeforeReplacement = 3;

/**
 * The connection to the store: one client, replaced by a new one after repeated faults, or at once when the node that
 * was asked does not lead. Calls under way on the old client are left alone.
 */
export class StoreConnection {
  readonly #settings: ConnectionSettings;
  readonly #onReachable: OnReachable;
  #generation: Generation | undefined;
  #leader: Endpoint | undefined;
  #faults = 0;
  #isReachable = true;

  constructor(settings: ConnectionSettings, onReachable: OnReachable) {
    this.#settings = settings;
    this.#onReachable = onReachable;
  }

  /** Runs `call`, again after faults that may pass, until it succeeds or `giveUpAfter` milliseconds are over. */
  async call<Result>(call: (client: StoreClient) => Promise<Result>, giveUpAfter: number): Promise<Result> {
    try {
      return await pRetry(() => this.#callOnce(call), {
        retries: Number.POSITIVE_INFINITY,
        maxRetryTime: giveUpAfter,
        minTimeout: 50,
        maxTimeout: 1000,
        randomize: true,
        shouldRetry: ({ error }) => error instanceof PassingFault,
      });
    } catch (error) {
      throw error instanceof PassingFault
        ? new EventStoreUnavailableError(error.message, { cause: error })
        : error;
    }
  }

  /** The client, for a use that lasts. Throws {@link PassingFault}. */
  async lease(): Promise<Lease> {
    this.#generation ??= this.#connect();
    const generation = this.#generation;
    generation.users++;
    let released = false;
    const release = (fault?: unknown) => {
      if (released) return;
      released = true;
      generation.users--;
      if (fault instanceof PassingFault) this.#count(fault, generation);
      this.#closeWhenUnused(generation);
    };
    try {
      return { client: await generation.client, release };
    } catch (error) {
      this.#retire(generation);
      release(error);
      throw error;
    }
  }

  /** What is a success for a use that lasts, as the first answer to a subscription. */
  succeeded(): void {
    this.#faults = 0;
    this.#tell(true);
  }

  close(): void {
    if (this.#generation !== undefined) this.#retire(this.#generation);
  }

  async #callOnce<Result>(call: (client: StoreClient) => Promise<Result>): Promise<Result> {
    const lease = await this.lease();
    try {
      const result = await call(lease.client);
      this.succeeded();
      lease.release();
      return result;
    } catch (error) {
      lease.release(error);
      throw error;
    }
  }

  #connect(): Generation {
    const client = StoreClient.connect(this.#settings, this.#leader);
    // Where the leader is said to be holds for one connection: a wrong word must not be believed for ever.
    this.#leader = undefined;
    return { client, users: 0, retired: false };
  }

  #count(fault: PassingFault, generation: Generation): void {
    this.#tell(false, fault);
    if (generation !== this.#generation) return;
    this.#faults++;
    if (fault.leader === undefined && this.#faults < faultsBeforeReplacement) return;
    this.#faults = 0;
    this.#leader = fault.leader;
    this.#retire(generation);
  }

  #retire(generation: Generation): void {
    if (this.#generation === generation) this.#generation = undefined;
    generation.retired = true;
    this.#closeWhenUnused(generation);
  }

  #closeWhenUnused(generation: Generation): void {
    if (!generation.retired || generation.users > 0) return;
    generation.client.then(
      (client) => client.close(),
      () => {},
    );
  }

  #tell(reachable: boolean, fault?: Error): void {
    if (reachable === this.#isReachable) return;
    this.#isReachable = reachable;
    this.#onReachable(reachable, fault);
  }
}
