import { readFileSync } from 'node:fs';
import { EventSource as PackageEventSource } from 'eventsource';
import { EventSource as UndiciEventSource } from 'undici';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { EventTickets } from '../../src/api/events/event-tickets.ts';
import { MasterKeys } from '../../src/application/master-keys.ts';
import { organization } from '../../src/domain/aggregates.ts';
import { context } from '../support/application.ts';
import { cuttingProxy } from '../support/cutting-proxy.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const path = '/keyturn/v1/events';

async function ticketing(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService({ heartbeatInterval: 50, ...options });
  const { url } = running;
  const token = await adminToken(running);
  const ask = async (query = '', bearer = token, headers = {}) =>
    answerOf(
      await fetch(`${url}${path}/tickets${query}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}`, ...headers },
      }),
    );
  const ticketFor = async (query = '', bearer = token): Promise<string> =>
    (await ask(query, bearer)).body.ticket;
  return { running, url, token, call: managementClient(url, token), ask, ticketFor };
}

/** The status of an attempt to open the stream, and the first id of the stream. */
async function open(url: string, ticket: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${url}${path}?ticket=${ticket}`, { headers });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const text = (await reader?.read())?.value ?? '';
  await reader?.cancel();
  return { status: response.status, text, id: /^id: (.*)$/m.exec(text)?.[1] ?? '' };
}

/** As a page does it: with nothing but a URL. */
function listen(EventSource: typeof PackageEventSource | typeof UndiciEventSource, url: string) {
  const source = new EventSource(url) as PackageEventSource;
  const events: { readonly type: string; readonly position: string; readonly streamversion: string }[] = [];
  source.onmessage = ({ data }) => void events.push(JSON.parse(data));
  onTestFinished(() => source.close());
  return { source, events };
}

/** A member of the first organization, its token, and its end. */
async function member({ service, url, admin }: Awaited<ReturnType<typeof runningService>>) {
  const { organizationId } = admin;
  const robot = { organizationId, userName: 'member', name: 'M', description: '' };
  const { userId } = await service.machineUsers.add({ ...robot, accessTokenType: 'jwt' }, context);
  const { clientSecret } = await service.machineUsers.setSecret({ userId, organizationId }, context);
  const add = { type: 'AddMember', userId, roles: ['ORG_OWNER'] } as const;
  await service.commands.execute(organization, organizationId, add, context);
  const { body } = await requestToken(url, 'member', clientSecret);
  return {
    token: body.access_token as string,
    async revoke() {
      const headers = { authorization: `Basic ${btoa(`member:${clientSecret}`)}` };
      const form = new URLSearchParams({ token: body.access_token });
      await fetch(`${url}/oauth/v2/revoke`, { method: 'POST', headers, body: form });
    },
    deactivate: () => service.machineUsers.deactivate({ userId, organizationId }, context),
    async expel() {
      const remove = { type: 'RemoveMember', userId } as const;
      await service.commands.execute(organization, organizationId, remove, context);
    },
  };
}

describe.each([
  ['undici', UndiciEventSource],
  ['the package eventsource', PackageEventSource],
])('the EventSource of %s', (_, EventSource) => {
  it('opens the stream that the ticket was asked for', async () => {
    const { url, call, ticketFor } = await ticketing();
    const first = await addRobot(call, 'first');
    const second = await addRobot(call, 'second');
    const ticket = await ticketFor(`?after=0&type=MachineSecretSet&user=${second.userId}`);
    const { events } = listen(EventSource, `${url}${path}?ticket=${ticket}`);
    await call('PUT', `/users/${first.userId}/secret`, {});
    await call('PUT', `/users/${second.userId}/secret`, {});
    await eventually(() => expect(events.map(({ streamversion }) => streamversion)).toEqual(['2', '3']));
  });

  it('connects again by itself, a hundred times, and gets every event once and in order', async () => {
    const { running, url, ticketFor } = await ticketing({ heartbeatInterval: 1000 });
    const busy = { userId: 'busy', userName: 'busy', name: 'B', description: '' } as const;
    const { organizationId } = running.admin;
    await running.service.machineUsers.add({ ...busy, organizationId, accessTokenType: 'jwt' }, context);
    // Past the headers and the first id: a reader that was cut off before it has one needs another ticket.
    const proxy = await cuttingProxy(url, () => 1500 + Math.floor(Math.random() * 6000));
    const ticket = await ticketFor('?after=0&type=MachineSecretSet&user=busy');
    const { events } = listen(EventSource, `${proxy.url}${path}?ticket=${ticket}`);
    let appended = 0;
    while (proxy.cuts() < 100) {
      await appendSecretsSet(running.service.eventStore, 'busy', 5);
      appended += 5;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await eventually(() => expect(events.length).toBeGreaterThanOrEqual(appended), 20_000);
    expect(events.map(({ streamversion }) => Number(streamversion))).toEqual(
      Array.from({ length: appended }, (__, index) => index + 2),
    );
  }, 60_000);

  it('is told for good that its ticket is used up', async () => {
    const { url, ticketFor } = await ticketing();
    const ticket = await ticketFor();
    expect((await open(url, ticket)).status).toBe(200);
    const { source } = listen(EventSource, `${url}${path}?ticket=${ticket}`);
    await eventually(() => expect(source.readyState).toBe(source.CLOSED));
  });
});

describe('a ticket', () => {
  it('opens one stream, and that one again for who has read it', async () => {
    const { url, ticketFor, running } = await ticketing();
    const ticket = await ticketFor('?after=3');
    const { status, id } = await open(url, ticket);
    expect([status, id]).toEqual([200, expect.stringMatching(/^3\.[\w-]{22}$/)]);
    const otherKey = (await open(url, await ticketFor('?after=3'))).id;
    for (const lastEventId of [undefined, '3', otherKey, id.replace(/.$/, id.endsWith('A') ? 'B' : 'A')]) {
      const again = await open(
        url,
        ticket,
        lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
      );
      expect([again.status, JSON.parse(again.text).message]).toEqual([
        401,
        'The ticket is not valid, was used or has expired (KEYTURN-Ticket)',
      ]);
    }
    const reconnected = await open(url, ticket, { 'last-event-id': id.replace('3.', '5.') });
    expect([reconnected.status, reconnected.id]).toEqual([200, id.replace('3.', '5.')]);
    await eventually(() => expect(running.log().match(/event stream ended/g)).toHaveLength(3));
    for (const secret of [ticket, id.slice(2)]) expect(running.log()).not.toContain(secret);
  });

  it('opens nothing after a minute, but what it has opened goes on', async () => {
    let now = Date.now();
    const { url, ticketFor } = await ticketing({ clock: () => new Date(now) });
    const [used, unused] = [await ticketFor(), await ticketFor()];
    const { id } = await open(url, used);
    now += 61_000;
    expect((await open(url, unused)).status).toBe(401);
    expect((await open(url, used, { 'last-event-id': id })).status).toBe(200);
    now += 3600_000;
    expect((await open(url, used, { 'last-event-id': id })).status).toBe(401);
  });

  it.each([
    ['token is revoked', 'revoke', 401],
    ['user is deactivated', 'deactivate', 401],
    ['user loses the permission', 'expel', 404],
  ] as const)('is worth nothing after its %s, and its stream ends', async (_, end, status) => {
    const { running, url, call, ticketFor } = await ticketing();
    const caller = await member(running);
    const [used, unused] = [await ticketFor('', caller.token), await ticketFor('', caller.token)];
    const { source, events } = listen(UndiciEventSource, `${url}${path}?ticket=${used}`);
    await new Promise((resolve) => source.addEventListener('open', resolve, { once: true }));
    await addRobot(call);
    // Uses of secrets are stored a moment later, and so may come at any place between these.
    const secretsSet = () => events.filter(({ type }) => type === 'keyturn.v1.MachineSecretSet');
    await eventually(() => expect(secretsSet()).toHaveLength(1));
    await caller[end]();
    await addRobot(call, 'unseen');
    await eventually(() => expect(source.readyState).toBe(source.CLOSED), 5000);
    expect((await open(url, unused)).status).toBe(status);
    expect(secretsSet()).toHaveLength(1);
  });

  it('is given to those only who may read the stream', async () => {
    const { running, ask } = await ticketing();
    const caller = await member(running);
    expect((await ask('?organization=other', caller.token)).status).toBe(403);
    expect((await ask('?type=Nothing')).body.message).toMatch(/type "Nothing" is not one that is published/);
    await caller.expel();
    expect((await ask('', caller.token)).status).toBe(404);
    expect((await ask('', 'nonsense')).status).toBe(401);
    const { status, body, headers } = await ask();
    expect([status, body]).toEqual([200, { ticket: expect.stringMatching(/^kte_[\w-]+$/), expiresIn: 60 }]);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('keeps to the organization that it was asked for in', async () => {
    const { running, url, ask } = await ticketing();
    const add = { type: 'AddOrganization', name: 'Other' } as const;
    await running.service.commands.execute(organization, 'other', add, context);
    const { body } = await ask('?after=0', undefined, { 'x-zitadel-orgid': 'other' });
    const { events } = listen(UndiciEventSource, `${url}${path}?ticket=${body.ticket}`);
    await eventually(() => expect(events).toHaveLength(1));
    expect(events).toMatchObject([{ type: 'keyturn.v1.OrganizationAdded', organizationid: 'other' }]);
  });

  it('is given to each user thirty times a minute', async () => {
    const { running, ask } = await ticketing();
    const answers = await Promise.all(Array.from({ length: 31 }, () => ask()));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(30).fill(200), 429]);
    expect((await ask('', (await member(running)).token)).status).toBe(200);
  });

  it.each([
    ['?ticket=', 'parameter "ticket" is empty, too long or repeated'],
    ['?ticket=a&ticket=b', 'parameter "ticket" is empty, too long or repeated'],
    ['?ticket=a&after=0', 'parameter "after" belongs to the request for the ticket'],
  ])('%s is refused with a reason', async (query, reason) => {
    const { url } = await ticketing();
    const { status, body } = await answerOf(await fetch(`${url}${path}${query}`));
    expect([status, body.message]).toEqual([400, `invalid query: ${reason}`]);
  });

  it('cannot be made up or changed', async () => {
    const { url, ticketFor, token } = await ticketing();
    const ticket = await ticketFor();
    const middle = Math.floor(ticket.length / 2);
    const changed = ticket.slice(0, middle) + (ticket[middle] === 'A' ? 'B' : 'A') + ticket.slice(middle + 1);
    for (const wrong of ['kte_', 'nonsense', token, ticket.slice(4), `${ticket}A`, changed]) {
      expect((await open(url, wrong)).status).toBe(401);
    }
    expect((await open(url, ticket)).status).toBe(200);
  });
});

test('pages of other origins may ask for a ticket and use it', async () => {
  const { url, ticketFor } = await ticketing();
  const origin = 'https://page.example';
  const asked = await fetch(`${url}${path}/tickets`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,last-event-id',
    },
  });
  expect(asked.headers.get('access-control-allow-origin')).toBe('*');
  expect(asked.headers.get('access-control-allow-headers')).toMatch(/authorization.*last-event-id/);
  const used = await fetch(`${url}${path}?ticket=${await ticketFor()}`, { headers: { origin } });
  await used.body?.cancel();
  expect([used.status, used.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
});

test('tickets are taken by every node, and by none that has started since: it does not know which were used', async () => {
  const masterKeys = new MasterKeys(new Uint8Array(32).fill(1));
  let now = Date.now();
  const node = () => new EventTickets(masterKeys, () => new Date(now));
  const [one, two] = [node(), node()];
  const grant = { authorization: 'Bearer x', query: { type: 'MachineSecretSet' } };
  const ticket = await one.issue('user', grant);
  const { idSuffix, ...redeemed } = two.redeem(ticket, undefined);
  expect(redeemed).toEqual({ ...grant, lastEventId: undefined });
  expect(() => two.redeem(ticket, undefined)).toThrow(/was used/);
  now += 1000;
  const three = node();
  expect(() => three.redeem(ticket, undefined)).toThrow(/was used/);
  expect(three.redeem(ticket, `7${idSuffix}`)).toMatchObject({ lastEventId: '7', idSuffix });
  const changedKey = new EventTickets(new MasterKeys(new Uint8Array(32).fill(2)), () => new Date(now));
  expect(() => changedKey.redeem(ticket, `7${idSuffix}`)).toThrow(/not valid/);
});

test('a scope that is not for this API gets no ticket', async () => {
  const { running, ask } = await ticketing();
  const { clientId, clientSecret } = running.admin;
  const { body } = await requestToken(running.url, clientId, clientSecret, 'openid');
  expect((await ask('', body.access_token)).status).toBe(401);
});

test('the example for browsers in docs/subscribers.md tells of a new secret', async () => {
  const { url, token, call } = await ticketing();
  const page = readFileSync(new URL('../../docs/subscribers.md', import.meta.url), 'utf8');
  const example = /### In a browser[\s\S]*?```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const sources: UndiciEventSource[] = [];
  class EventSource extends UndiciEventSource {
    constructor(address: string) {
      super(address);
      sources.push(this);
    }
  }
  onTestFinished(() => {
    for (const source of sources) source.close();
  });
  const lines: string[] = [];
  const globals = {
    keyturn: url,
    accessToken: async () => token,
    EventSource,
    console: { log: (line: string) => void lines.push(line) },
  };
  const AsyncFunction = (async () => {}).constructor as typeof Function;
  await AsyncFunction(...Object.keys(globals), example)(...Object.values(globals));
  const [source] = sources;
  await new Promise((resolve) => source?.addEventListener('open', resolve, { once: true }));
  const { userId } = await addRobot(call);
  await eventually(() => expect(lines).toEqual([`user ${userId} has a new secret`]));
});
