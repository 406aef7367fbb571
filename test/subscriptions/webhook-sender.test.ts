import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { TargetPolicy } from '../../src/subscriptions/webhooks/target-policy.ts';
import { WebhookSender } from '../../src/subscriptions/webhooks/webhook-sender.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const addressesOf = vi.hoisted(() => new Map<string, LookupAddress[]>());
vi.mock(import('node:dns'), async (importOriginal) => {
  const dns = await importOriginal();
  type Found = (error: null, addresses: LookupAddress[] | undefined) => void;
  const lookup = (name: string, _options: object, found: Found) => found(null, addressesOf.get(name));
  return { ...dns, lookup: lookup as unknown as typeof dns.lookup };
});

const policy = new TargetPolicy({ allowHttp: true, allowedNetworks: ['127.0.0.1/32'] });
const { signal } = new AbortController();
const headers = { 'content-type': 'application/json' };

function newSender(): WebhookSender {
  const sender = new WebhookSender({ policy, timeout: 10_000 });
  onTestFinished(() => sender.close());
  return sender;
}

test('what sends is loaded again with the next delivery where it could not be loaded', async () => {
  const { url } = await webhookReceiver();
  const sender = newSender();
  const post = () => sender.post(url, headers, '{}', signal);
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

test.each([301, 302, 303])(
  'a redirect that would make another request of a POST is not followed: %i',
  async (status) => {
    const elsewhere = await webhookReceiver();
    const receiver = await webhookReceiver();
    receiver.answerWith((_event, response) => response.writeHead(status, { location: elsewhere.url }).end());
    expect((await newSender().post(receiver.url, headers, '{}', signal)).status).toBe(status);
    expect(elsewhere.received).toEqual([]);
  },
);

test('three redirects are followed, and no more', async () => {
  const receiver = await webhookReceiver();
  receiver.answerWith((_event, response, { url = '' }) => {
    const left = Number(url.slice(1));
    response.writeHead(left > 0 ? 307 : 204, left > 0 ? { location: `/${left - 1}` } : {}).end();
  });
  const afterRedirects = (count: number) =>
    newSender().post(new URL(`/${count}`, receiver.url).href, headers, '{}', signal);
  expect((await afterRedirects(3)).status).toBe(204);
  await expect(afterRedirects(4)).rejects.toThrow('too many redirects');
});

test('of the addresses of a name only those that are allowed are connected to', async () => {
  const receiver = await webhookReceiver();
  const connected = vi.fn();
  const inside = createServer(connected).listen(receiver.port, '127.0.0.2');
  onTestFinished(() => void inside.close());
  await once(inside, 'listening');
  const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  addressesOf.set('two.example', addresses);
  const { status } = await newSender().post(`http://two.example:${receiver.port}/`, headers, '{}', signal);
  expect(status).toBe(204);
  expect(connected).not.toHaveBeenCalled();
});
