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

/**
 * Bounds how often a client may be guessed at. Only failures count. They count for a target and the address that they came
 * from together, so that nobody can lock a client out from elsewhere, and for the address alone, so that nobody can try
 * many clients. Those that have the id of a live secret count for that secret alone: whoever has an old secret, or
 * none, cannot keep out whoever has the new one. Kept in this process: each node counts for itself.
 */
export class AttemptLimits {
  readonly #perTarget: RateLimiterMemory;
  readonly #perSource: RateLimiterMemory;

  constructor({ failuresPerClient, failuresPerSource }: AttemptLimitsOptions) {
    this.#perTarget = new RateLimiterMemory({ points: failuresPerClient, duration: window });
    this.#perSource = new RateLimiterMemory({ points: failuresPerSource, duration: window });
  }

  /** @throws TooManyAttemptsError */
  async require(target: AttemptTarget, address: string): Promise<void> {
    const forTarget = await waitOf(this.#perTarget, keyOf(target, address));
    const forSource = 'loginName' in target ? await waitOf(this.#perSource, networkOf(address)) : 0;
    const wait = Math.max(forTarget, forSource);
    if (wait > 0) throw new TooManyAttemptsError(Math.ceil(wait / 1000));
  }

  /** @returns how long the refusal is to take, in milliseconds from the arrival of the attempt */
  async failed(target: AttemptTarget, address: string): Promise<number> {
    await this.#perSource.penalty(networkOf(address));
    const { consumedPoints } = await this.#perTarget.penalty(keyOf(target, address));
    return Math.min(refusalDelay.first * 2 ** (consumedPoints - 1), refusalDelay.longest);
  }
}

async function waitOf(limiter: RateLimiterMemory, key: string): Promise<number> {
  const result: RateLimiterRes | null = await limiter.get(key);
  return result !== null && result.remainingPoints <= 0 ? result.msBeforeNext : 0;
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
