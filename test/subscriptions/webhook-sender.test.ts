import { expect, onTestFinished, test, vi } from 'vitest';
import { TargetPolicy } from '../../src/subscriptions/webhooks/target-policy.ts';
import { WebhookSender } from '../../src/subscriptions/webhooks/webhook-sender.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const policy = new TargetPolicy({ allowHttp: true, allowedNetworks: ['127.0.0.0/8'] });
const { signal } = new AbortController();

test('what sends is loaded again with the next delivery where it could not be loaded', async () => {
  const { url } = await webhookReceiver();
  const sender = new WebhookSender({ policy, timeout: 10_000 });
  onTestFinished(() => sender.close());
  const post = () => sender.post(url, { 'content-type': 'application/json' }, '{}', signal);
  vi.doMock('undici', () => {
    throw new Error('too many open files');
  });
  onTestFinished(() => void vi.doUnmock('undici'));
  const failed = post();
  const closed = sender.close();
  await expect(failed).rejects.toThrow();
  await closed;
  vi.doUnmock('undici');
  expect((await post()).status).toBe(204);
});
