import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { context } from '../support/application.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { adminToken, answerOf, runningService } from '../support/running-service.ts';
import { type Answer, verifySignature, webhookReceiver } from '../support/webhook-receiver.ts';

const fastRetry = { firstDelay: 10, longestDelay: 50, longestOutageDelay: 50 };

/** A service that may send to this machine, and a caller of its webhook API. */
async function webhooked(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService({
    webhookAllowHttp: true,
    webhookAllowedNetworks: ['127.0.0.0/8'],
    webhookRetry: fastRetry,
    ...options,
  });
  const token = await adminToken(running);
  const call = async (method: string, path = '', body?: unknown) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1/webhooks${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
  const add = async (url: string, fields: object = { types: ['MachineSecretSet'] }) => {
    const { status, body } = await call('POST', '', { url, ...fields });
    expect([status, body]).toEqual([200, expect.anything()]);
    return { webhookId: body.webhook.webhookId as string, signingSecret: body.signingSecret as string };
  };
  const { eventStore, machineUsers } = running.service;
  const addUser = (userId: string) =>
    machineUsers.add(
      {
        organizationId: running.admin.organizationId,
        userId,
        userName: userId,
        name: 'R',
        description: '',
        accessTokenType: 'jwt',
      },
      context,
    );
  const setSecrets = (userId: string, count: number) => appendSecretsSet(eventStore, userId, count);
  return { running, call, add, addUser, setSecrets };
}

const respond =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (_event, response) =>
    response.writeHead(status, headers).end();

describe('a delivery', () => {
  it('is a CloudEvent with a signature that the library of Standard Webhooks takes', async () => {
    const { running, add, addUser, setSecrets } = await webhooked();
    const receiver = await webhookReceiver();
    const { signingSecret } = await add(receiver.url);
    await addUser('one');
    await setSecrets('one', 1);
    await eventually(() => expect(receiver.received).toHaveLength(1));
    const [delivery] = receiver.received;
    if (delivery === undefined) throw new Error('a delivery expected');
    expect(signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    verifySignature(signingSecret, delivery);
    expect(() => verifySignature(signingSecret, { ...delivery, body: `${delivery.body} ` })).toThrow();
    expect(delivery.headers).toMatchObject({
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'webhook-id': delivery.event.id,
    });
    expect(delivery.event).toMatchObject({
      type: 'keyturn.v1.MachineSecretSet',
      source: running.service.issuer,
      subject: 'machineUser-one',
      streamversion: '2',
      organizationid: running.admin.organizationId,
    });
    expect(delivery.body).not.toContain('$2b');
  });

  it('carries two signatures while a secret is rotated, and one after', async () => {
    let now = Date.now();
    const { call, add, addUser, setSecrets } = await webhooked({ clock: () => new Date(now) });
    const receiver = await webhookReceiver();
    const { webhookId, signingSecret } = await add(receiver.url);
    const rotated = await call('POST', `/${webhookId}/secret`, { overlapSeconds: 60 });
    expect(rotated.body).toEqual({
      signingSecret: expect.stringMatching(/^whsec_/),
      previousUntil: new Date(now + 60_000).toISOString(),
    });
    await addUser('one');
    await setSecrets('one', 1);
    await eventually(() => expect(receiver.received).toHaveLength(1));
    now += 61_000;
    await setSecrets('one', 1);
    await eventually(() => expect(receiver.received).toHaveLength(2));
    const [during, after] = receiver.received.map(
      ({ headers }) => headers['webhook-signature']?.split(' ').length,
    );
    expect([during, after]).toEqual([2, 1]);
    const [first] = receiver.received;
    if (first === undefined) throw new Error('a delivery expected');
    for (const secret of [signingSecret, rotated.body.signingSecret]) verifySignature(secret, first);
  });

  it('is of its organization and of what was asked for only', async () => {
    const { add, addUser, setSecrets } = await webhooked();
    const receiver = await webhookReceiver();
    await add(receiver.url, { types: ['keyturn.v1.MachineSecretSet'], userId: 'two' });
    for (const userId of ['one', 'two']) {
      await addUser(userId);
      await setSecrets(userId, 2);
    }
    await eventually(() => expect(receiver.versions('two')).toEqual([2, 3]));
    expect(receiver.received).toHaveLength(2);
  });

  it('begins where it is told, also in the past', async () => {
    const { add, addUser, setSecrets } = await webhooked();
    await addUser('one');
    await setSecrets('one', 3);
    const [past, now] = [await webhookReceiver(), await webhookReceiver()];
    await add(past.url, { types: ['MachineSecretSet'], after: '0' });
    await add(now.url, { types: ['MachineSecretSet'] });
    await eventually(() => expect(past.versions('one')).toEqual([2, 3, 4]));
    await setSecrets('one', 1);
    await eventually(() => expect(now.versions('one')).toEqual([5]));
  });
});

describe('a target', () => {
  it('that fails gets the event again, and later ones of the user wait for it', async () => {
    const { call, add, addUser, setSecrets } = await webhooked();
    const receiver = await webhookReceiver();
    let failures = 3;
    receiver.answerWith((event, response) => {
      const fails = event.subject === 'machineUser-one' && failures-- > 0;
      response.writeHead(fails ? 500 : 200).end();
    });
    const { webhookId } = await add(receiver.url);
    for (const userId of ['one', 'two']) {
      await addUser(userId);
      await setSecrets(userId, 3);
    }
    await eventually(() => expect(receiver.received).toHaveLength(6));
    expect(receiver.versions('one')).toEqual([2, 3, 4]);
    expect(receiver.versions('two')).toEqual([2, 3, 4]);
    expect(receiver.refused.map(({ event }) => event.streamversion)).toEqual(['2', '2', '2']);
    const { attempts } = (await call('GET', `/${webhookId}/deliveries`)).body;
    expect(attempts.filter((attempt: { error?: string }) => attempt.error === 'status 500')).toHaveLength(3);
    expect(attempts.filter((attempt: { delivered?: boolean }) => attempt.delivered)).toHaveLength(6);
  });

  it('that hangs, or is dead, holds up no other one', async () => {
    const { add, addUser, setSecrets } = await webhooked({ webhookTimeout: 100 });
    const [hanging, good] = [await webhookReceiver(), await webhookReceiver()];
    hanging.answerWith(() => {});
    await add(hanging.url);
    await add('http://127.0.0.1:1/nobody-listens');
    await add(good.url);
    await addUser('one');
    await setSecrets('one', 50);
    // An answer that came too late has an event sent again.
    const versionsOf = (receiver: typeof good) => [...new Set(receiver.versions('one'))];
    await eventually(() => expect(versionsOf(good)).toHaveLength(50));
    expect(hanging.received).toEqual([]);
    hanging.answerWith(respond(200));
    await eventually(() => expect(versionsOf(hanging)).toHaveLength(50), 10_000);
    expect(versionsOf(hanging)).toEqual(Array.from({ length: 50 }, (_, index) => index + 2));
  });

  it('that comes back after an outage gets everything, in order', async () => {
    const { add, addUser, setSecrets } = await webhooked();
    const first = await webhookReceiver();
    await add(first.url);
    for (const userId of ['a', 'b', 'c', 'd', 'e']) await addUser(userId);
    first.close();
    for (const userId of ['a', 'b', 'c', 'd', 'e']) await setSecrets(userId, 20);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const back = await webhookReceiver(first.port);
    await eventually(() => expect(back.received).toHaveLength(100), 10_000);
    const inOrder = Array.from({ length: 20 }, (_, index) => index + 2);
    for (const userId of ['a', 'b', 'c', 'd', 'e']) expect(back.versions(userId)).toEqual(inOrder);
  });

  it('that asks for time with Retry-After is given it', async () => {
    const { add, addUser, setSecrets } = await webhooked();
    const receiver = await webhookReceiver();
    const times: number[] = [];
    receiver.answerWith((_event, response) => {
      times.push(performance.now());
      if (times.length === 1) response.writeHead(429, { 'retry-after': '1' }).end();
      else response.writeHead(200).end();
    });
    await add(receiver.url);
    for (const userId of ['one', 'two']) await addUser(userId);
    await setSecrets('one', 1);
    await eventually(() => expect(times).toHaveLength(1));
    await setSecrets('two', 1);
    await eventually(() => expect(receiver.received).toHaveLength(2), 5000);
    // Nothing was sent meanwhile, not even what it had not seen.
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990);
  });

  it('that answers 410 is disabled at once, with an event that says so', async () => {
    const { running, call, add, addUser, setSecrets } = await webhooked();
    const receiver = await webhookReceiver();
    receiver.answerWith(respond(410));
    const { webhookId } = await add(receiver.url);
    await addUser('one');
    await setSecrets('one', 2);
    await eventually(async () =>
      expect((await call('GET', `/${webhookId}`)).body.webhook.state).toBe('WEBHOOK_STATE_DISABLED_GONE'),
    );
    const events = await Array.fromAsync(running.service.eventStore.readStream(`webhook-${webhookId}`));
    expect(events.at(-1)).toMatchObject({ type: 'WebhookDisabled', data: { reason: 'gone' } });

    // Nothing is lost: enabled again, it goes on where it stopped.
    receiver.answerWith(respond(200));
    const enabled = await call('PUT', `/${webhookId}`, {
      url: receiver.url,
      types: ['MachineSecretSet'],
      enabled: true,
    });
    expect(enabled.body.webhook.state).toBe('WEBHOOK_STATE_ENABLED');
    await eventually(() => expect(receiver.versions('one')).toEqual([2, 3]), 5000);
  });

  it('that nothing reaches for a configured time is disabled', async () => {
    let now = Date.now();
    const { running, call, add, addUser, setSecrets } = await webhooked({
      clock: () => new Date(now),
      webhookDisableAfter: 5,
      accessTokenLifetime: 86_400,
      webhookRetry: { ...fastRetry, giveUpAfter: 24 * 3600 * 1000 },
    });
    const receiver = await webhookReceiver();
    receiver.answerWith(respond(500));
    const { webhookId } = await add(receiver.url);
    await addUser('one');
    await setSecrets('one', 1);
    await eventually(() => expect(receiver.refused.length).toBeGreaterThan(2));
    expect((await call('GET', `/${webhookId}`)).body.webhook.state).toBe('WEBHOOK_STATE_ENABLED');
    now += 5 * 3600 * 1000 + 1000;
    await eventually(async () =>
      expect((await call('GET', `/${webhookId}`)).body.webhook.state).toBe('WEBHOOK_STATE_DISABLED_FAILING'),
    );
    const events = await Array.fromAsync(running.service.eventStore.readStream(`webhook-${webhookId}`));
    expect(events.at(-1)?.data).toEqual({ reason: 'failing', failingSince: expect.any(String) });

    // Enabled again, it is given as much time again.
    await call('PUT', `/${webhookId}`, { url: receiver.url, types: ['MachineSecretSet'], enabled: true });
    const refusedBefore = receiver.refused.length;
    await eventually(() => expect(receiver.refused.length).toBeGreaterThan(refusedBefore + 2));
    expect((await call('GET', `/${webhookId}`)).body.webhook.state).toBe('WEBHOOK_STATE_ENABLED');
  });

  it('that fails for one event for a day has it parked, and gets it again when asked', async () => {
    let now = Date.now();
    const { call, add, addUser, setSecrets } = await webhooked({
      clock: () => new Date(now),
      accessTokenLifetime: 86_400,
      webhookRetry: { ...fastRetry, giveUpAfter: 3600 * 1000 },
    });
    const receiver = await webhookReceiver();
    receiver.answerWith((event, response) =>
      response.writeHead(event.streamversion === '2' ? 422 : 200).end(),
    );
    const { webhookId } = await add(receiver.url);
    await addUser('one');
    await setSecrets('one', 2);
    await eventually(() => expect(receiver.refused.length).toBeGreaterThan(1));
    now += 3600 * 1000;
    await eventually(() => expect(receiver.versions('one')).toEqual([3]));
    const { parked } = (await call('GET', `/${webhookId}/deliveries`)).body;
    expect(parked).toEqual([
      {
        eventId: receiver.refused[0]?.event.id,
        subject: 'machineUser-one',
        attempts: expect.any(Number),
        reason: 'status 422',
        parkedAt: new Date(now).toISOString(),
      },
    ]);

    receiver.answerWith(respond(200));
    expect((await call('POST', `/${webhookId}/redeliver`, { eventId: parked[0].eventId })).body).toEqual({
      count: 1,
    });
    await eventually(() => expect(receiver.versions('one')).toEqual([3, 2]));
    expect((await call('GET', `/${webhookId}/deliveries`)).body.parked ?? []).toEqual([]);
    expect((await call('POST', `/${webhookId}/redeliver`, { eventId: parked[0].eventId })).status).toBe(404);
    expect((await call('POST', `/${webhookId}/redeliver`, {})).body).toEqual({});
  });
});

describe('a private address', () => {
  const blocked = { webhookAllowedNetworks: ['127.0.0.1/32'] };

  it('is refused in a redirect, and so is a redirect without end', async () => {
    const { call, add } = await webhooked(blocked);
    const secret = await webhookReceiver();
    const receiver = await webhookReceiver();
    const { webhookId } = await add(receiver.url);
    const tested = async (location: string) => {
      receiver.answerWith(respond(307, { location }));
      return (await call('POST', `/${webhookId}/test`, {})).body.error;
    };
    for (const host of [
      '127.0.0.2',
      '10.0.0.1',
      '169.254.169.254',
      '[::1]',
      '[::ffff:10.0.0.1]',
      '0.0.0.0',
      '2130706434',
    ]) {
      expect([host, await tested(`http://${host}:${secret.port}/`)]).toEqual([
        host,
        'refused: its address is not a public one',
      ]);
    }
    expect(await tested(receiver.url)).toBe('too many redirects');
    expect(secret.received).toEqual([]);
    receiver.answerWith((_event, response, { url }) =>
      url === '/hook' ? response.writeHead(308, { location: '/other' }).end() : response.writeHead(200).end(),
    );
    expect((await call('POST', `/${webhookId}/test`, {})).body).toMatchObject({ delivered: true });
  });

  it('is refused when a name leads to it, at the moment of connecting', async () => {
    const { running, call, add } = await webhooked({ webhookAllowedNetworks: [] });
    const listener = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void listener.close());
    await once(listener, 'listening');
    const connected = vi.fn();
    listener.on('connection', connected);
    const { webhookId } = await add(`http://localhost:${(listener.address() as AddressInfo).port}/`);
    const { body } = await call('POST', `/${webhookId}/test`, {});
    expect(body).toMatchObject({ error: 'refused: its address is not a public one' });
    expect(connected).not.toHaveBeenCalled();
    expect(running.log()).not.toContain('unexpected');
  });
});

test('a worker goes on after a restart of the service', async () => {
  const first = await webhooked();
  const receiver = await webhookReceiver();
  await first.add(receiver.url);
  await first.addUser('one');
  await first.setSecrets('one', 5);
  await eventually(() => expect(receiver.received).toHaveLength(5));
  await first.running.service.close();
  const second = await webhooked({ dataDir: first.running.dataDir });
  await second.setSecrets('one', 2);
  await eventually(() => expect(receiver.versions('one')).toContain(8));
  // The service may have been closed before it heard that the last event had arrived.
  expect([...new Set(receiver.versions('one'))]).toEqual([2, 3, 4, 5, 6, 7, 8]);
  expect(receiver.received.length).toBeLessThanOrEqual(8);
});
