import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { instance, instanceId, organization } from '../../src/domain/aggregates.ts';
import { headOf } from '../../src/eventstore/head.ts';
import { cloudEventJsonSchema } from '../../src/subscriptions/cloud-event.ts';
import { context } from '../support/application.ts';
import { cuttingProxy } from '../support/cutting-proxy.ts';
import { damage } from '../support/damaged-log.ts';
import { appendSecretsSet, openEventSource } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  type RunningService,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const path = '/keyturn/v1/events';

async function streaming(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService({ heartbeatInterval: 50, ...options });
  const token = await adminToken(running);
  const call = managementClient(running.url, token);
  const open = (query = '', headers = {}) =>
    openEventSource(`${running.url}${path}${query}`, () => token, headers);
  return { running, token, call, open, url: running.url };
}

const get = async (url: string, token: string, query = '', headers = {}) =>
  answerOf(
    await fetch(`${url}${path}${query}`, { headers: { authorization: `Bearer ${token}`, ...headers } }),
  );

/** A machine user of the first organization, or another one, with a role there; and a token of its own. */
async function memberToken(
  { service, url, admin }: RunningService,
  { role, organizationId = admin.organizationId }: { role?: string; organizationId?: string },
) {
  const { commands, machineUsers } = service;
  if (organizationId !== admin.organizationId) {
    await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'Other' }, context);
  }
  const { userId } = await machineUsers.add(
    {
      organizationId,
      userName: `member-${role}-${organizationId}`,
      name: 'M',
      description: '',
      accessTokenType: 'jwt',
    },
    context,
  );
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  if (role !== undefined) {
    await commands.execute(
      organization,
      organizationId,
      { type: 'AddMember', userId, roles: [role] },
      context,
    );
  }
  const { body } = await requestToken(url, `member-${role}-${organizationId}`, clientSecret);
  return { userId, organizationId, token: body.access_token as string };
}

const linesOf = (running: RunningService): Record<string, unknown>[] =>
  running
    .log()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

const types = (events: readonly { readonly type: string }[]) =>
  events.map((event) => event.type.replace('keyturn.v1.', ''));

/** A use is stored some time after the token is granted. */
const withoutUses = <Event extends { readonly type: string }>(events: readonly Event[]) =>
  events.filter(({ type }) => type !== 'keyturn.v1.MachineSecretUsed');

describe('the stream', () => {
  it('tells of a change as a CloudEvent, once it can be seen in the API', async () => {
    const { running, call, open } = await streaming();
    const { events, opened } = open();
    await opened;
    const { userId } = await addRobot(call);
    await eventually(() => expect(withoutUses(events)).toHaveLength(3));
    const changes = withoutUses(events);
    expect(types(changes)).toEqual(['UserNameClaimed', 'MachineUserAdded', 'MachineSecretSet']);
    expect(changes[2]).toEqual({
      specversion: '1.0',
      id: expect.any(String),
      source: running.service.issuer,
      type: 'keyturn.v1.MachineSecretSet',
      subject: `machineUser-${userId}`,
      time: expect.any(String),
      datacontenttype: 'application/json',
      position: expect.any(String),
      streamversion: '2',
      organizationid: running.admin.organizationId,
      authtype: 'service_account',
      authid: running.admin.userId,
      correlationid: expect.any(String),
      causationid: expect.any(String),
      data: { userId, secretId: expect.any(String), replacedSecretIds: [] },
    });
  });

  it('never holds a hash, a secret, a key or a JWE', async () => {
    const { running, call, open } = await streaming();
    const { events } = open('?after=0');
    const { clientSecret } = await addRobot(call);
    await eventually(() => expect(types(withoutUses(events)).at(-1)).toBe('MachineSecretSet'));
    await eventually(() =>
      expect(types(events).filter((type) => type === 'MachineSecretSet')).toHaveLength(2),
    );
    const text = JSON.stringify(events);
    expect(types(events)).toContain('SigningKeyAdded');
    for (const secret of [clientSecret, running.admin.clientSecret, '$2b$', 'eyJ', '"kty"', 'previousHash']) {
      expect(text).not.toContain(secret);
    }
  });

  it('tells all that stands before an event that cannot be read, and goes on once that is mended', async () => {
    const { running, call, open } = await streaming();
    const { userId } = await addRobot(call);
    const { eventStore } = running.service;
    await appendSecretsSet(eventStore, userId, 400);
    const last = await headOf(eventStore);
    const at = last - 5n;
    const told = open(`?after=${last - 1n}`);
    await eventually(() => expect(told.events[0]?.position).toBe(String(last)));
    const mend = damage(join(running.dataDir, 'events.db'), at, ['data', 'hash-$2b$04']);
    const { events } = open('?after=0');
    await eventually(() => expect(events.at(-1)?.position).toBe(String(at - 1n)));
    const failure = () => linesOf(running).find(({ msg }) => msg === 'event stream failed');
    await eventually(() => expect(failure()).toBeDefined());
    expect(failure()).toMatchObject({
      level: 50,
      userId: running.admin.userId,
      err: {
        message: expect.stringContaining(`at position ${at}, is not readable`),
        stack: expect.any(String),
      },
    });
    // The parser's complaint quotes what it cannot read.
    expect(running.log()).not.toContain('$2b$04');
    mend();
    const positions = () => events.map(({ position }) => Number(position));
    await eventually(() => expect(positions()).toContain(Number(last)));
    expect(positions()).toEqual([...new Set(positions())].toSorted((a, b) => a - b));
    const behind = positions().filter((position) => position >= Number(at) && position <= Number(last));
    expect(behind).toHaveLength(6);
  });

  it('begins after any position, and gives the same events again', async () => {
    const { call, open } = await streaming();
    await addRobot(call);
    const all = open('?after=0');
    await eventually(() => expect(types(all.events)).toContain('MachineSecretSet'));
    await addRobot(call, 'second');
    await eventually(() =>
      expect(types(all.events).filter((type) => type === 'UserNameClaimed')).toHaveLength(3),
    );
    await eventually(() =>
      expect(types(all.events).filter((type) => type === 'MachineSecretSet')).toHaveLength(3),
    );
    for (const index of [0, 3, all.events.length - 2]) {
      const rest = open(`?after=${all.events[index]?.position}`);
      await eventually(() => expect(rest.events).toEqual(all.events.slice(index + 1)));
    }
  });

  it('goes on after Last-Event-ID, which goes before ?after', async () => {
    const { url, token, running } = await streaming();
    const response = await fetch(`${url}${path}?after=0`, {
      headers: { authorization: `Bearer ${token}`, 'last-event-id': '5' },
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('data:')) text += (await reader?.read())?.value ?? '';
    await reader?.cancel();
    expect(text).toMatch(/^retry: \d+\nid: 5\n\nid: 6\ndata: /);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(running.log()).not.toContain('after=0');
  });

  it('is filtered by type, in either spelling, and by user', async () => {
    const { call, open } = await streaming();
    const first = await addRobot(call, 'first');
    const second = await addRobot(call, 'second');
    await call('DELETE', `/users/${first.userId}/secret`);
    const byType = open('?after=0&type=MachineSecretRemoved&type=keyturn.v1.OrganizationAdded');
    await eventually(() =>
      expect(types(byType.events)).toEqual(['OrganizationAdded', 'MachineSecretRemoved']),
    );
    const byUser = open(`?after=0&user=${second.userId}`);
    await eventually(() =>
      expect(types(byUser.events)).toEqual(['UserNameClaimed', 'MachineUserAdded', 'MachineSecretSet']),
    );
  });

  it('is never silent for long, and tells how far it has read where nothing is for the reader', async () => {
    const { url, token, call } = await streaming();
    const response = await fetch(`${url}${path}?user=nobody`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const first = (await reader?.read())?.value ?? '';
    const begin = Number(/id: (\d+)/.exec(first)?.[1]);
    await addRobot(call);
    let text = '';
    await eventually(async () => {
      text += (await reader?.read())?.value ?? '';
      expect(Number(/: heartbeat\nid: (\d+)\n\n$/.exec(text)?.[1])).toBeGreaterThanOrEqual(begin + 3);
    });
    await reader?.cancel();
    expect(text).not.toContain('data:');
  });
});

describe('who may read', () => {
  it('is only who has events.read', async () => {
    const { running, url } = await streaming();
    const { token } = await memberToken(running, { role: 'ORG_USER_MANAGER' });
    expect((await get(url, token)).body.message).toBe('No matching permissions found (AUTH-5mWD2)');
    const outsider = await memberToken(running, {});
    expect((await get(url, outsider.token)).status).toBe(404);
    expect((await get(url, 'nonsense')).status).toBe(401);
    expect((await answerOf(await fetch(`${url}${path}`))).status).toBe(401);
  });

  it('sees its own organization only', async () => {
    const { running, call, url } = await streaming();
    const { token, organizationId } = await memberToken(running, {
      role: 'ORG_OWNER_VIEWER',
      organizationId: 'org-2',
    });
    const own = openEventSource(`${url}${path}?after=0`, () => token);
    await addRobot(call);
    await running.service.commands.execute(
      organization,
      organizationId,
      { type: 'AddMember', userId: 'last', roles: ['ORG_OWNER'] },
      context,
    );
    await eventually(() => expect(withoutUses(own.events).at(-1)?.data).toMatchObject({ userId: 'last' }));
    // Its use of its own secret is recorded some time later.
    expect(types(withoutUses(own.events))).toEqual([
      'OrganizationAdded',
      'MachineUserAdded',
      'MachineSecretSet',
      'OrganizationMemberAdded',
      'OrganizationMemberAdded',
    ]);
    expect(new Set(own.events.map((event) => event.organizationid))).toEqual(new Set([organizationId]));
    expect((await get(url, token, `?organization=${running.admin.organizationId}`)).status).toBe(403);
    expect((await get(url, token, '', { 'x-zitadel-orgid': running.admin.organizationId })).status).toBe(404);
  });

  it('sees every organization, or the one that it asks for, with a role in the instance', async () => {
    const { running, open } = await streaming();
    await memberToken(running, { role: 'ORG_OWNER', organizationId: 'org-2' });
    const all = open('?after=0');
    await eventually(() =>
      expect(new Set(all.events.map((event) => event.organizationid))).toEqual(
        new Set([undefined, running.admin.organizationId, 'org-2']),
      ),
    );
    for (const one of [
      open('?after=0&organization=org-2'),
      open('?after=0', { 'x-zitadel-orgid': 'org-2' }),
    ]) {
      await eventually(() => expect(one.events.length).toBeGreaterThanOrEqual(4));
      expect(new Set(one.events.map((event) => event.organizationid))).toEqual(new Set(['org-2']));
    }
  });

  it.each([
    [
      'membership',
      async ({ service, admin }: RunningService, userId: string) => {
        const remove = { type: 'RemoveMember', userId } as const;
        await service.commands.execute(organization, admin.organizationId, remove, context);
      },
    ],
    [
      'user',
      async ({ service, admin }: RunningService, userId: string) => {
        await service.machineUsers.deactivate({ userId, organizationId: admin.organizationId }, context);
      },
    ],
  ])('is cut off when its %s ends, and sees nothing of what comes after', async (_, end) => {
    const { running, call, url } = await streaming();
    const { token, userId } = await memberToken(running, { role: 'ORG_OWNER' });
    const stream = openEventSource(`${url}${path}?type=MachineSecretSet`, () => token);
    await stream.opened;
    const robot = await addRobot(call);
    await eventually(() => expect(stream.events).toHaveLength(1));
    await end(running, userId);
    await call('PUT', `/users/${robot.userId}/secret`, {});
    await eventually(() => expect(stream.source.readyState).toBe(stream.source.CLOSED), 5000);
    expect([401, 404]).toContain(stream.errors.at(-1)?.code);
    expect(stream.events).toHaveLength(1);
  });

  it('is cut off when its token expires', async () => {
    let now = Date.now();
    const { open } = await streaming({ clock: () => new Date(now) });
    const stream = open();
    await stream.opened;
    now += 2 * 3600 * 1000;
    await eventually(() => expect(stream.errors.at(-1)?.code).toBe(401), 5000);
    expect(stream.source.readyState).toBe(stream.source.CLOSED);
  });

  it('has a bounded number of streams open', async () => {
    const { open, url, token } = await streaming({ eventStreamsPerUser: 2 });
    const [first, second] = [open(), open()];
    await Promise.all([first.opened, second.opened]);
    const refused = await get(url, token);
    expect([refused.status, refused.body.message]).toEqual([
      429,
      'Too many open event streams of this user (KEYTURN-Streams)',
    ]);
    first.source.close();
    await eventually(async () => {
      const third = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
      await third.body?.cancel();
      expect(third.status).toBe(200);
    });
  });
});

test.each([
  ['?after=x', 'after must be a position of the log, a decimal number'],
  ['?after=-1', 'after must be a position of the log, a decimal number'],
  ['?after=9223372036854775808', 'after must be a position of the log, a decimal number'],
  ['?type=Nothing', 'type "Nothing" is not one that is published'],
  ['?type=SubscriptionAdvanced', 'type "SubscriptionAdvanced" is not one that is published'],
  ['?types=MachineSecretSet', 'parameter "types" is not known'],
  ['?user=', 'parameter "user" is empty, too long or repeated'],
  ['?user=a&user=b', 'parameter "user" is empty, too long or repeated'],
])('%s is refused with a reason', async (query, reason) => {
  const { url, token } = await streaming();
  const { status, body } = await get(url, token, query);
  expect([status, body]).toEqual([400, { code: 3, message: `invalid query: ${reason}` }]);
});

test('a Last-Event-ID that is none is refused', async () => {
  const { url, token } = await streaming();
  const { body } = await get(url, token, '', { 'last-event-id': 'abc' });
  expect(body.message).toBe('invalid query: Last-Event-ID must be a position of the log, a decimal number');
});

test('the JSON Schema of events is there for everyone', async () => {
  const { url } = await streaming();
  const { status, body } = await answerOf(await fetch(`${url}/keyturn/v1/events/schema.json`));
  expect([status, body]).toEqual([200, JSON.parse(JSON.stringify(cloudEventJsonSchema()))]);
});

test('through a connection that is cut a hundred times, every event comes once and in order', async () => {
  const { running, url, token } = await streaming({ heartbeatInterval: 1000 });
  await running.service.machineUsers.add(
    {
      organizationId: running.admin.organizationId,
      userId: 'busy',
      userName: 'busy',
      name: 'B',
      description: '',
      accessTokenType: 'jwt',
    },
    context,
  );
  const proxy = await cuttingProxy(url, () => 300 + Math.floor(Math.random() * 6000));
  const stream = openEventSource(`${proxy.url}${path}?type=MachineSecretSet&user=busy`, () => token);
  await stream.opened;
  let appended = 0;
  while (proxy.cuts() < 100) {
    await appendSecretsSet(running.service.eventStore, 'busy', 5);
    appended += 5;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await eventually(() => expect(stream.events.length).toBeGreaterThanOrEqual(appended), 20_000);
  expect(proxy.cuts()).toBeGreaterThanOrEqual(100);
  expect(stream.events.map((event) => Number(event.streamversion))).toEqual(
    Array.from({ length: appended }, (_, index) => index + 2),
  );
}, 60_000);

test('a reader that does not read is dropped, and goes on after the last id that it has', async () => {
  const { running, url, token } = await streaming({ slowReaderLimit: 200 });
  const { eventStore, machineUsers } = running.service;
  await machineUsers.add(
    {
      organizationId: running.admin.organizationId,
      userId: 'busy',
      userName: 'busy',
      name: 'B',
      description: '',
      accessTokenType: 'jwt',
    },
    context,
  );
  await appendSecretsSet(eventStore, 'busy', 20_000);
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(`GET ${path}?after=0&user=busy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  let received = '';
  socket.on('error', () => {});
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text;
    if (received.length > 200_000) socket.pause();
  });
  await eventually(() => expect(running.log()).toContain('its reader is too slow'), 10_000);
  socket.removeAllListeners('data').resume();
  await once(socket, 'close');
  const ids = [...received.matchAll(/id: (\d+)\ndata: [^\n]*\n\n/g)].map(([, id]) => Number(id));
  expect(ids.length).toBeGreaterThan(100);
  expect(ids.length).toBeLessThan(20_000);

  const rest = openEventSource(`${url}${path}?user=busy&after=${ids.at(-1)}`, () => token);
  await eventually(() => expect(ids.length + rest.events.length).toBeGreaterThanOrEqual(20_002), 20_000);
  expect(ids.length + rest.events.length).toBe(20_002);
  expect(rest.events.at(-1)?.streamversion).toBe('20001');
});

test('it is the same stream over HTTP/2', async () => {
  const { url, token, call } = await streaming();
  const session = connectHttp2(url);
  onTestFinished(() => session.destroy());
  const request = session.request({ ':path': `${path}?after=0`, authorization: `Bearer ${token}` });
  let text = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const [headers] = await once(request, 'response');
  expect(headers).toMatchObject({ ':status': 200, 'content-type': 'text/event-stream' });
  const { userId } = await addRobot(call);
  await eventually(() =>
    expect(text).toMatch(
      new RegExp(`^id: \\d+\ndata: .*keyturn.v1.MachineSecretSet","subject":"machineUser-${userId}`, 'm'),
    ),
  );
  request.close();
  await eventually(() => expect(text).toMatch(/^retry: 1000\nid: 0\n\nid: 1\ndata: /));
});

test('a stop of the server ends the streams at once', async () => {
  const { running, open } = await streaming();
  const { opened } = open();
  await opened;
  const begin = performance.now();
  await running.service.close();
  expect(performance.now() - begin).toBeLessThan(5000);
});

test('a role of the instance that ends is noticed', async () => {
  const { running, url } = await streaming();
  const { token, userId } = await memberToken(running, { role: 'ORG_OWNER' });
  const { commands } = running.service;
  await commands.execute(
    instance,
    instanceId,
    { type: 'AddMember', userId, roles: ['IAM_OWNER_VIEWER'] },
    context,
  );
  const stream = openEventSource(`${url}${path}?after=0`, () => token);
  await eventually(() => expect(types(stream.events)).toContain('InstanceSetUp'));
  await commands.execute(instance, instanceId, { type: 'RemoveMember', userId }, context);
  await eventually(() => expect(stream.errors.length).toBeGreaterThan(0));
  expect(types(stream.events)).not.toContain('InstanceMemberRemoved');
});
