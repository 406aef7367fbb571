import fc from 'fast-check';
import { expect, it } from 'vitest';
import { retryDelay } from '../../src/subscriptions/retry-policy.ts';
import { webhookRetryPolicy } from '../../src/subscriptions/webhooks/webhook-dispatcher.ts';

it('waits exponentially longer up to a limit, with jitter of half of it', () => {
  fc.assert(
    fc.property(
      fc.record({
        firstDelay: fc.integer({ min: 2, max: 10_000 }),
        factor: fc.integer({ min: 1, max: 10 }),
        longestDelay: fc.integer({ min: 10_000, max: 1_000_000 }),
      }),
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (policy, failures, random) => {
        const full = Math.min(policy.longestDelay, policy.firstDelay * policy.factor ** (failures - 1));
        const wait = retryDelay(policy, failures, random);
        expect(wait).toBeGreaterThanOrEqual(Math.floor(full / 2));
        expect(wait).toBeLessThanOrEqual(Math.ceil(full));
        expect(retryDelay(policy, failures + 1, random)).toBeGreaterThanOrEqual(wait);
      },
    ),
  );
});

it('spreads out those who failed together', () => {
  const waits = Array.from({ length: 100 }, () => retryDelay(webhookRetryPolicy, 4));
  expect(new Set(waits).size).toBeGreaterThan(50);
});

it('tries a webhook for a day, first after seconds and in the end every few hours', () => {
  const delays = Array.from({ length: 30 }, (_, index) => retryDelay(webhookRetryPolicy, index + 1, 1));
  expect(delays.slice(0, 4)).toEqual([5000, 15_000, 45_000, 135_000]);
  expect(Math.max(...delays)).toBe(3 * 60 * 60 * 1000);
  expect(webhookRetryPolicy.giveUpAfter).toBe(24 * 60 * 60 * 1000);
  expect(webhookRetryPolicy.maxAttempts).toBe(Number.POSITIVE_INFINITY);
});
