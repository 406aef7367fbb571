/** When a failed delivery is tried again. Times are in milliseconds. */
export interface RetryPolicy {
  readonly firstDelay: number;
  /** Each delay is this many times the one before it, */
  readonly factor: number;
  /** and never longer than this. */
  readonly longestDelay: number;
  /** An event is parked after so many attempts, */
  readonly maxAttempts: number;
  /** or when the first of them was so long ago. */
  readonly giveUpAfter: number;
  /** While nothing at all can be delivered, one delivery is tried this often at least. */
  readonly longestOutageDelay: number;
}

/**
 * How long to wait after `failures` failures in a row, with jitter: between half of the full delay and all of it, so
 * that those who failed together do not come back together.
 */
export function retryDelay(
  { firstDelay, factor, longestDelay }: Pick<RetryPolicy, 'firstDelay' | 'factor' | 'longestDelay'>,
  failures: number,
  random = Math.random(),
): number {
  const full = Math.min(longestDelay, firstDelay * factor ** (failures - 1));
  return Math.round(full * (0.5 + random / 2));
}
