import type { FeedEvent } from './feed-event.ts';

/** An event on its way to a subscriber. */
export interface Delivery {
  readonly event: FeedEvent;
  /** How often it was tried in vain. */
  attempts: number;
  /** When it was first tried in vain: RFC 3339. */
  failingSince: string | undefined;
}

export interface DeliveryLanesOptions {
  /** Nothing is begun once it is aborted. */
  readonly signal: AbortSignal;
  readonly concurrency: number;
  /** Tries once. Returns after how many milliseconds to try again, or undefined when the delivery is settled. Never rejects. */
  readonly attempt: (delivery: Delivery) => Promise<number | undefined>;
  /** A delivery is settled, and no longer among `deliveries`. */
  readonly onSettled: () => void;
}

interface Lane {
  readonly deliveries: Delivery[];
  retryTimer: NodeJS.Timeout | undefined;
}

/**
 * Deliveries with the same ordering key go one after the other, also when the first of them has to be tried again;
 * others do not wait for them.
 */
export class DeliveryLanes {
  readonly #options: DeliveryLanesOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that may be tried now. */
  #ready: Lane[] = [];
  #size = 0;
  #running = 0;
  #probing = false;
  #pauseTimer: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];

  constructor(options: DeliveryLanesOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#halt(), { once: true });
  }

  get size(): number {
    return this.#size;
  }

  /** All that is not settled. */
  deliveries(): Delivery[] {
    return [...this.#lanes.values()].flatMap((lane) => lane.deliveries);
  }

  add(delivery: Delivery): void {
    const key = delivery.event.orderingKey;
    const lane = this.#lanes.get(key) ?? { deliveries: [], retryTimer: undefined };
    lane.deliveries.push(delivery);
    this.#size++;
    if (!this.#lanes.has(key)) {
      this.#lanes.set(key, lane);
      this.#ready.push(lane);
      this.#run();
    }
  }

  /** Resolves when an attempt has ended, or at the abort. */
  async nextChange(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running > 0) await this.nextChange();
  }

  /** Begins nothing for so many milliseconds; then tries one delivery at a time until `resume`. */
  pause(milliseconds: number): void {
    this.#probing = true;
    clearTimeout(this.#pauseTimer);
    if (this.#options.signal.aborted) return;
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = undefined;
      this.#wake();
    }, milliseconds);
  }

  /** Tries everything again at once, as far as the concurrency allows. */
  resume(): void {
    this.#probing = false;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    this.#wake();
  }

  #halt(): void {
    clearTimeout(this.#pauseTimer);
    for (const lane of this.#lanes.values()) clearTimeout(lane.retryTimer);
    this.#announceChange();
  }

  #wake(): void {
    for (const lane of this.#lanes.values()) if (lane.retryTimer !== undefined) this.#makeReady(lane);
    this.#run();
  }

  #makeReady(lane: Lane): void {
    clearTimeout(lane.retryTimer);
    lane.retryTimer = undefined;
    this.#ready.push(lane);
  }

  #run(): void {
    const limit = this.#probing ? 1 : this.#options.concurrency;
    while (!this.#options.signal.aborted && this.#pauseTimer === undefined && this.#running < limit) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      this.#running++;
      void this.#deliverFirst(lane);
    }
  }

  async #deliverFirst(lane: Lane): Promise<void> {
    const [delivery] = lane.deliveries;
    let retryIn: number | undefined;
    try {
      retryIn = delivery && (await this.#options.attempt(delivery));
    } finally {
      this.#running--;
    }
    if (retryIn !== undefined && !this.#options.signal.aborted) {
      lane.retryTimer = setTimeout(() => {
        this.#makeReady(lane);
        this.#run();
      }, retryIn);
    }
    if (retryIn === undefined) this.#settle(lane);
    this.#announceChange();
    this.#run();
  }

  #settle(lane: Lane): void {
    const delivery = lane.deliveries.shift();
    this.#size--;
    if (lane.deliveries.length > 0) this.#ready.push(lane);
    else if (delivery !== undefined) this.#lanes.delete(delivery.event.orderingKey);
    this.#options.onSettled();
  }

  #announceChange(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
