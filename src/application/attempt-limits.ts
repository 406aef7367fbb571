import ipaddr from 'ipaddr.js';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { normalizeUserName } from '../domain/user-name/normalize.ts';

export interface AttemptLimitsOptions {
  /** Failed attempts a minute for one client from one address. */
  readonly failuresPerClient: number;
  /** Failed attempts a minute from one address, whichever clients they name. */
  readonly failuresPerSource: number;
}

/** In seconds. */
const window = 60;
/** In milliseconds: the first refusal takes this long, each further one twice as long, up to the longest. */
const refusalDelay = { first: 25, longest: 1000 };

/** Too many attempts failed. */
export class TooManyAttemptsError extends Error {
  override readonly name = 'TooManyAttemptsError';
  /** In seconds. */
  readonly retryAfter: number;

  constructor(retryAfter: number) {
    super('too many failed attempts, try again later');
    this.retryAfter = retryAfter;
  }
}

/** What is guessed at: a client by its name, or a secret whose id is known already. */
export type AttemptTarget = { readonly loginName: string } | { readonly secretId: string };

/** Gives the place of an attempt that is over to another one. */
export type LeavePlace = () => void;

/**
 * Bounds how often a client may be guessed at. Only failures count. They count for a target and the address that they came
 * from together, so that nobody can lock a client out from elsewhere, and for the address alone, so that nobody can try
 * many clients. Those that have the id of a live secret count for that secret alone: whoever has an old secret, or
 * none, cannot keep out whoever has the new one. Kept in this process: each node counts for itself.
 *
 * An attempt that is under way may fail: of many at once, only as many are made as may fail, and the others wait how
 * those end. So nobody gets more guesses by sending them at once, and clients that are right are late rather than refused.
 */
export class AttemptLimits {
  readonly #perTarget: RateLimiterMemory;
  readonly #perSource: RateLimiterMemory;
  readonly #underWay = new AttemptsUnderWay();

  constructor({ failuresPerClient, failuresPerSource }: AttemptLimitsOptions) {
    this.#perTarget = new RateLimiterMemory({ points: failuresPerClient, duration: window });
    this.#perSource = new RateLimiterMemory({ points: failuresPerSource, duration: window });
  }

  /**
   * Resolves when the attempt may be made. A failure is to be told by {@link failed} before the place is left.
   *
   * @throws TooManyAttemptsError
   */
  async takePlace(target: AttemptTarget, address: string): Promise<LeavePlace> {
    const perTarget = { limiter: this.#perTarget, key: keyOf(target, address) };
    const perSource = { limiter: this.#perSource, key: networkOf(address) };
    const limits = 'loginName' in target ? [perTarget, perSource] : [perTarget];
    let waitedFor: string | undefined;
    try {
      for (;;) {
        const left = await Promise.all(limits.map(leftOf));
        const wait = Math.max(...left.map((one) => one.wait));
        if (wait > 0) throw new TooManyAttemptsError(Math.ceil(wait / 1000));
        const full = left.find(({ key, failures }) => this.#underWay.count(key) >= failures)?.key;
        if (full === undefined) return this.#underWay.begin(left.map(({ key }) => key));
        if (waitedFor !== undefined && full !== waitedFor) this.#underWay.wakeNext(waitedFor);
        waitedFor = full;
        await this.#underWay.oneEnded(full);
      }
    } finally {
      // There may be room for more, or the end that woke this attempt was of no use to it.
      if (waitedFor !== undefined) this.#underWay.wakeNext(waitedFor);
    }
  }

  /** @returns how long the refusal is to take, in milliseconds from the arrival of the attempt */
  async failed(target: AttemptTarget, address: string): Promise<number> {
    await this.#perSource.penalty(networkOf(address));
    const { consumedPoints } = await this.#perTarget.penalty(keyOf(target, address));
    return Math.min(refusalDelay.first * 2 ** (consumedPoints - 1), refusalDelay.longest);
  }
}

interface Limit {
  readonly limiter: RateLimiterMemory;
  readonly key: string;
}

/** How many failures are left, and when there are none, how long there will be none, in milliseconds. */
async function leftOf({ limiter, key }: Limit): Promise<{ key: string; failures: number; wait: number }> {
  const result: RateLimiterRes | null = await limiter.get(key);
  // An expired record stays until its timer fires, which is late on a busy process, or after the clock was set.
  if (result === null || result.msBeforeNext <= 0) return { key, failures: limiter.points, wait: 0 };
  const { remainingPoints, msBeforeNext } = result;
  return { key, failures: remainingPoints, wait: remainingPoints <= 0 ? msBeforeNext : 0 };
}

/** Attempts that have begun and not ended, by what they count for. */
class AttemptsUnderWay {
  readonly #counts = new Map<string, number>();
  /** First come, first served. */
  readonly #waiting = new Map<string, Set<() => void>>();

  count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  begin(keys: readonly string[]): LeavePlace {
    for (const key of keys) this.#counts.set(key, this.count(key) + 1);
    return () => {
      for (const key of keys) this.#end(key);
    };
  }

  /** Resolves when an attempt that counts for this has ended. Each end wakes one, who has to {@link wakeNext}. */
  oneEnded(key: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(key, (this.#waiting.get(key) ?? new Set()).add(resolve));
    return promise;
  }

  wakeNext(key: string): void {
    const waiting = this.#waiting.get(key);
    const [next] = waiting ?? [];
    if (waiting === undefined || next === undefined) return;
    waiting.delete(next);
    if (waiting.size === 0) this.#waiting.delete(key);
    next();
  }

  #end(key: string): void {
    const left = this.count(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
    this.wakeNext(key);
  }
}

function keyOf(target: AttemptTarget, address: string): string {
  const name =
    'loginName' in target
      ? `client ${normalizeUserName(target.loginName).slice(0, 200)}`
      : `secret ${target.secretId}`;
  return `${networkOf(address)} ${name}`;
}

/** Whoever has one IPv6 address has the 2^64 of its network: they count as one. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6
    ? parsed.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')
    : parsed.toString();
}
