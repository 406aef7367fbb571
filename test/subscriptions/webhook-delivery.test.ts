import { expect, it } from 'vitest';
import { RetryLaterError } from '../../src/subscriptions/subscription-worker.ts';
import { deliverWebhook } from '../../src/subscriptions/webhooks/webhook-delivery.ts';
import type { WebhookSender } from '../../src/subscriptions/webhooks/webhook-sender.ts';

const now = new Date('2026-11-25T12:00:00.000Z');

async function failureOf(status: number, retryAfter: string | undefined): Promise<unknown> {
  const sender = { post: async () => ({ status, retryAfter }) } as unknown as WebhookSender;
  const { signal } = new AbortController();
  const secrets = [`whsec_${Buffer.alloc(32).toString('base64')}`];
  const sent = { url: 'https://hooks.example', secrets, eventId: 'e', body: '{}', now, signal };
  return deliverWebhook(sender, sent).catch((error: unknown) => error);
}

it.each([
  [429, '7', 7000],
  [503, '0', 0],
  [503, 'Wed, 25 Nov 2026 12:01:30 GMT', 90_000],
  [503, 'Wed, 25 Nov 2026 11:00:00 GMT', 0],
  [429, '99999999', 24 * 60 * 60 * 1000],
])('%d with Retry-After: %s is tried again after %d ms', async (status, retryAfter, wait) => {
  const failure = await failureOf(status, retryAfter);
  expect(failure).toBeInstanceOf(RetryLaterError);
  expect((failure as RetryLaterError).retryAfter).toBe(wait);
});

it.each([
  [500, '7'],
  [301, undefined],
  [429, undefined],
  [429, 'soon'],
])('%d with Retry-After: %s is tried again as the policy says', async (status, retryAfter) => {
  const failure = await failureOf(status, retryAfter);
  expect(failure).not.toBeInstanceOf(RetryLaterError);
  expect((failure as Error).message).toBe(`status ${status}`);
});
