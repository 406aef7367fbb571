import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from './command-handler.ts';
import type { MasterKeys } from './master-keys.ts';

/** In milliseconds: how long a nonce is the one that is given out. It is taken until the end of the next such time. */
const windowLength = 60_000;
const form = /^(\d{1,12})\.([A-Za-z0-9_-]{43})$/;

/**
 * The nonces that this server gives out for DPoP proofs (RFC 9449 section 8): the number of a minute with a MAC under a key
 * derived from the master key, so that every node takes those of every other.
 */
export class DpopNonces {
  readonly #key: Uint8Array;
  readonly #clock: Clock;
  /** Nonces of up to the minute in which this process started may have been used in the process before it. */
  readonly #startWindow: number;

  constructor(masterKeys: MasterKeys, clock: Clock) {
    const [key] = masterKeys.derive('DPoP nonces') as [Uint8Array];
    this.#key = key;
    this.#clock = clock;
    this.#startWindow = this.#window();
  }

  current(): string {
    const window = Math.max(this.#window(), this.#startWindow + 1);
    return `${window}.${this.#mac(window).toString('base64url')}`;
  }

  /** The minute that a nonce is of; undefined when it is none of ours, or not of now. */
  windowOf(nonce: unknown): number | undefined {
    const [, digits, mac = ''] = form.exec(typeof nonce === 'string' ? nonce : '') ?? [];
    const window = Number(digits);
    const isOfNow = Math.abs(window - this.#window()) <= 1 && window > this.#startWindow;
    if (!isOfNow) return undefined;
    return timingSafeEqual(Buffer.from(mac, 'base64url'), this.#mac(window)) ? window : undefined;
  }

  /** The oldest minute whose nonces are still taken. */
  oldestWindow(): number {
    return this.#window() - 1;
  }

  #window(): number {
    return Math.floor(this.#clock().getTime() / windowLength);
  }

  #mac(window: number): Buffer {
    return createHmac('sha256', this.#key).update(String(window)).digest();
  }
}
