import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import type { MachineUserReference, MachineUsers } from '../../src/application/machine-users.ts';
import type { ServiceConfig } from '../../src/service.ts';
import { context } from '../support/application.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import {
  type Admin,
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  type RunningService,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const masterKey = new Uint8Array(32).fill(7);
const externalUrl = 'https://keyturn.example';

async function startServer(options?: Parameters<typeof EventStoreDbServer.start>[0]) {
  const server = await EventStoreDbServer.start(options);
  onTestFinished(() => server.stop());
  return server;
}

/** A node of Keyturn with a data directory of its own. */
function startNode(server: EventStoreDbServer, config: Partial<ServiceConfig> = {}): Promise<RunningService> {
  return runningService({ eventStore: server.connectionString, masterKey, externalUrl, ...config });
}

/** Two nodes on one event store, and a client of each as the admin. */
async function twoNodes() {
  const server = await startServer();
  const one = await startNode(server);
  const two = await startNode(server);
  const token = await adminToken(one);
  return {
    server,
    one,
    two,
    token,
    callOne: managementClient(one.url, token),
    callTwo: managementClient(two.url, token),
  };
}

const typesIn = (server: EventStoreDbServer) =>
  server.log.events.map((event) => event.type).filter((type) => !type.startsWith('$'));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('a first start of several nodes at once', () => {
  it.each([2, 3, 4])('of %d sets up one instance, with one signing key and one admin', async (count) => {
    const server = await startServer();
    const nodes = await Promise.all(Array.from({ length: count }, () => startNode(server)));
    for (const type of ['InstanceSetUpStarted', 'OrganizationAdded', 'MachineUserAdded', 'SigningKeyAdded']) {
      expect([type, typesIn(server).filter((one) => one === type)]).toEqual([type, [type]]);
    }
    expect(nodes.filter(({ service }) => service.isNew)).toHaveLength(1);
    const savedBy = nodes.filter(({ service }) => existsSync(service.adminCredentialsFile));
    expect(savedBy).toEqual(nodes.filter(({ service }) => service.isNew));
    const admin = savedBy[0]?.admin as Admin;
    const token = (await requestToken(savedBy[0]?.url ?? '', admin.clientId, admin.clientSecret)).body
      .access_token;
    // Each node verifies what another has signed.
    for (const { url } of nodes) {
      const answer = await managementClient(url, token)('GET', `/users/${admin.userId}`);
      expect(answer.status).toBe(200);
    }
  });

  it('is finished by another node when the first one was cut off', async () => {
    const server = await startServer();
    const { service } = await startNode(server);
    await service.close();
    // All that comes after the first event was never written.
    const begun = new (server.log.constructor as new () => typeof server.log)();
    const first = server.log.events.find((event) => event.type === 'InstanceSetUpStarted');
    if (first === undefined) throw new Error('no set-up');
    begun.append(first.stream, [first], 'no_stream');
    const restarted = await startServer({ log: begun });
    const node = await startNode(restarted);
    expect(node.service.isNew).toBe(true);
    expect((await requestToken(node.url, node.admin.clientId, node.admin.clientSecret)).status).toBe(200);
  });
});

test('the master key is required, and has to be the same on all nodes', async () => {
  const server = await startServer();
  await expect(startNode(server, { masterKey: undefined })).rejects.toThrow(/KEYTURN_MASTER_KEY.*required/);
  await startNode(server);
  await expect(startNode(server, { masterKey: new Uint8Array(32).fill(8) })).rejects.toThrow(
    /the master key is not the one that/,
  );
});

describe('two nodes', () => {
  it('take the ticket of either, and a reader that changes between them gets every event once and in order', async () => {
    const { one, two, token, callOne, callTwo } = await twoNodes();
    const { userId } = await addRobot(callOne);
    const asked = await fetch(
      `${one.url}/keyturn/v1/events/tickets?after=0&type=MachineSecretSet&user=${userId}`,
      {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      },
    );
    const { ticket } = (await asked.json()) as { ticket: string };
    const versions: string[] = [];
    let lastEventId: string | undefined;
    // Each connection is cut after one event, and made again to the other node.
    for (const [index, node] of [two, one, two, one].entries()) {
      const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      const response = await fetch(`${node.url}/keyturn/v1/events?ticket=${ticket}`, { headers });
      expect([index, response.status]).toEqual([index, 200]);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!/^data: .*\n\n/m.test(text)) text += (await reader?.read())?.value ?? '';
      await reader?.cancel();
      const [, id, version] = /^id: (.*)\ndata: .*"streamversion":"(\d+)"/m.exec(text) ?? [];
      [lastEventId] = [id];
      versions.push(version ?? '');
      await (index % 2 === 0 ? callOne : callTwo)('PUT', `/users/${userId}/secret`, {});
    }
    expect(versions).toEqual(['2', '3', '4', '5']);
    await callOne('POST', `/users/${userId}/_deactivate`, {});
    const again = await fetch(`${two.url}/keyturn/v1/events?ticket=${ticket}`);
    expect(again.status).toBe(401);
  });

  it('that rotate one user at once both answer, and exactly one secret is left', async () => {
    const { one, two, callOne, callTwo } = await twoNodes();
    const { userId } = await addRobot(callOne);
    const rotations = await Promise.all(
      [callOne, callTwo, callOne, callTwo, callTwo, callOne].map((call) =>
        call('PUT', `/users/${userId}/secret`, {}),
      ),
    );
    expect(rotations.map(({ status }) => status)).toEqual(rotations.map(() => 200));
    const sequences = rotations.map(({ body }) => Number(body.details.sequence));
    expect(sequences.toSorted((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8]);
    const newest = Math.max(...rotations.map(({ headers }) => Number(headers.get('x-keyturn-position'))));
    const last = rotations.find(({ body }) => body.details.sequence === '8');
    for (const { url } of [one, two]) {
      await fetch(`${url}/oauth/v2/keys`, { headers: { 'x-keyturn-position': String(newest) } });
      const answers = await Promise.all(
        rotations.map(({ body }) => requestToken(url, body.clientId, body.clientSecret)),
      );
      const accepted = rotations.filter((_, index) => answers[index]?.status === 200);
      expect(accepted).toEqual([last]);
    }
  });

  it('show on one what was written on the other to a client that sends the position back', async () => {
    const { callOne, callTwo } = await twoNodes();
    for (let index = 0; index < 20; index++) {
      const added = await callOne('POST', '/users/machine', { userName: `robot-${index}`, name: 'Robot' });
      const position = added.headers.get('x-keyturn-position') ?? '';
      expect(position).toMatch(/^\d+$/);
      const read = await callTwo('GET', `/users/${added.body.userId}`, undefined, {
        'x-keyturn-position': position,
      });
      expect(read.status).toBe(200);
      expect(BigInt(read.headers.get('x-keyturn-position') ?? 0)).toBeGreaterThanOrEqual(BigInt(position));
    }
  });

  it('answer 503 to a position that they do not reach, in bounded time, and 400 to none at all', async () => {
    const { two, token, callTwo } = await twoNodes();
    const ahead = await callTwo('GET', '/users/1', undefined, { 'x-keyturn-position': '999999999999' });
    expect(ahead.status).toBe(503);
    expect(ahead.headers.get('retry-after')).toBe('1');
    expect(ahead.body).toMatchObject({ code: 14, details: [{ id: 'KEYTURN-PositionAhead' }] });
    const headers = { authorization: `Bearer ${token}`, 'x-keyturn-position': 'soon' };
    const refused = await answerOf(await fetch(`${two.url}/management/v1/users/1`, { headers }));
    expect(refused).toMatchObject({ status: 400, body: { code: 3, details: [{ id: 'KEYTURN-Position' }] } });
    const oauth = await fetch(`${two.url}/oauth/v2/token`, {
      method: 'POST',
      headers,
      body: new URLSearchParams(),
    });
    expect(await answerOf(oauth)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });
});

describe('a node whose read model lags', () => {
  /** A node that is told nothing more, though it can read and write. */
  async function laggingNode(credentialCheck: 'read-model' | 'strict') {
    const server = await startServer();
    const one = await startNode(server);
    const muted = await startServer({ log: server.log });
    const two = await startNode(muted, { credentialCheck });
    const callOne = managementClient(one.url, await adminToken(one));
    const robot = await addRobot(callOne);
    await expect
      .poll(() => requestToken(two.url, robot.clientId, robot.clientSecret))
      .toMatchObject({ status: 200 });
    muted.isMute = true;
    return { one, two, callOne, robot };
  }
  const changes: [string, (machineUsers: MachineUsers, user: MachineUserReference) => Promise<unknown>][] = [
    ['replaced', (users, user) => users.setSecret(user, context)],
    ['removed', (users, user) => users.removeSecret(user, context)],
    ['taken from use with its user', (users, user) => users.deactivate(user, context)],
  ];

  it.each(changes)('refuses in strict mode a secret that was %s elsewhere', async (_, change) => {
    const { one, two, robot } = await laggingNode('strict');
    expect((await requestToken(two.url, robot.clientId, robot.clientSecret)).status).toBe(200);
    const { organizationId } = one.admin;
    await change(one.service.machineUsers, { userId: robot.userId, organizationId });
    const { status, body } = await requestToken(two.url, robot.clientId, robot.clientSecret);
    expect([status, body.error]).toEqual([401, 'invalid_client']);
  });

  it('goes on by its read model otherwise', async () => {
    const { two, callOne, robot } = await laggingNode('read-model');
    await callOne('PUT', `/users/${robot.userId}/secret`, {});
    expect((await requestToken(two.url, robot.clientId, robot.clientSecret)).status).toBe(200);
  });
});

describe('an event store that is down', () => {
  it('is waited for at the start, which says so', async () => {
    const server = await startServer();
    server.stop();
    const port = await freePort();
    const starting = startNode(server, { port });
    const ready = async () => answerOf(await fetch(`http://127.0.0.1:${port}/debug/ready`));
    await expect
      .poll(() => ready().catch(() => undefined))
      .toMatchObject({
        status: 503,
        body: { status: 'not ready', reason: 'waiting for the event store', eventStore: 'unreachable' },
      });
    expect((await fetch(`http://127.0.0.1:${port}/debug/healthz`)).status).toBe(200);
    const early = await managementClient(`http://127.0.0.1:${port}`, 'none')('GET', '/users/1');
    expect(early).toMatchObject({ status: 503, body: { code: 14, details: [{ id: 'KEYTURN-NotReady' }] } });
    await server.start();
    await starting;
    expect(await ready()).toMatchObject({ status: 200, body: { status: 'ready', eventStore: 'reachable' } });
  });

  it('fails a change with 503 and code 14, leaves reading and tokens alone, and is used again when it is back', async () => {
    const server = await startServer();
    const node = await startNode(server);
    const call = managementClient(node.url, await adminToken(node));
    const robot = await addRobot(call);
    server.stop();
    const change = await call('PUT', `/users/${robot.userId}/secret`, {});
    expect(change.status).toBe(503);
    expect(change.headers.get('retry-after')).toBe('1');
    expect(change.body).toMatchObject({ code: 14, details: [{ id: 'KEYTURN-StoreUnavailable' }] });
    expect((await call('GET', `/users/${robot.userId}`)).status).toBe(200);
    expect((await requestToken(node.url, robot.clientId, robot.clientSecret)).status).toBe(200);
    const ready = await answerOf(await fetch(`${node.url}/debug/ready`));
    expect(ready).toMatchObject({ status: 200, body: { eventStore: 'unreachable' } });
    await server.start();
    expect((await call('PUT', `/users/${robot.userId}/secret`, {})).status).toBe(200);
  });
});
