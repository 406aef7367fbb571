import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';
import { MachineSecretService } from '#generated/keyturn/v1/machine_secret_pb.js';
import { SecretPolicyService } from '#generated/keyturn/v1/secret_policy_pb.js';
import { userHistory } from '../../src/audit/user-history.ts';
import { TestClock } from '../support/application.ts';
import { openEventSource } from '../support/event-stream.ts';
import {
  type Answer,
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const hour = 3600 * 1000;
const day = 24 * hour;

/** A service whose clock the test moves, with a machine user that has a secret. */
async function rotating(options: Parameters<typeof runningService>[0] = {}) {
  const clock = new TestClock();
  const running = await runningService({ clock: clock.read, ...options });
  const token = await adminToken(running);
  const management = managementClient(running.url, token);
  const robot = await addRobot(management);
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
  const secrets = `/users/${robot.userId}/secrets`;
  const list = async () => (await call('GET', secrets)).body.result as { id: string }[];
  const signIn = async (secret = robot.clientSecret) =>
    (await requestToken(running.url, robot.clientId, secret, 'openid')).status;
  const put = async () =>
    (await management('PUT', `/users/${robot.userId}/secret`, {})).body.clientSecret as string;
  const user = async () => (await management('GET', `/users/${robot.userId}`)).body.user;
  const eventTypes = async () =>
    (await Array.fromAsync(running.service.eventStore.readStream(`machineUser-${robot.userId}`))).map(
      ({ type }) => type,
    );
  return { running, clock, token, robot, call, secrets, list, signIn, put, user, eventTypes, management };
}

const idOf = (secret: string) => secret.slice(4, 20);

describe('a secret', () => {
  it('is added beside the one that is there, and both sign in', async () => {
    const { call, secrets, list, signIn, robot } = await rotating();
    const { status, body } = await call('POST', secrets, {});
    expect(status).toBe(200);
    expect(body).toEqual({
      id: idOf(body.clientSecret),
      clientId: robot.clientId,
      clientSecret: expect.stringMatching(/^kts_/),
      change: { sequence: '3', changeDate: expect.any(String) },
    });
    expect((await list()).map(({ id }) => id)).toEqual([idOf(robot.clientSecret), body.id]);
    expect([await signIn(), await signIn(body.clientSecret)]).toEqual([200, 200]);
    const third = await call('POST', secrets, {});
    expect([third.status, third.body.message]).toEqual([400, expect.stringContaining('2 live secrets')]);
  });

  it('is shown with its times, and when it was used', async () => {
    const { call, secrets, signIn, clock, robot } = await rotating();
    const expirationDate = new Date(clock.now.getTime() + 30 * day).toISOString();
    const { body } = await call('POST', secrets, { expirationDate, overlap: '3600s' });
    await signIn(body.clientSecret);
    await expect
      .poll(async () => (await call('GET', `${secrets}/${body.id}`)).body.secret.firstUseDate)
      .toBe(clock.now.toISOString());
    const old = await call('GET', `${secrets}/${idOf(robot.clientSecret)}`);
    expect(old.body.secret).toMatchObject({
      retirementDate: new Date(clock.now.getTime() + 3_600_000).toISOString(),
    });
    const added = await call('GET', `${secrets}/${body.id}`);
    expect(added.body.secret).toMatchObject({ id: body.id, expirationDate });
    expect(JSON.stringify([old.body, added.body])).not.toContain('$2b$');
  });

  it('is refused from its retirement on, although no event says so', async () => {
    const { call, secrets, signIn, clock, list, eventTypes } = await rotating();
    const { body } = await call('POST', secrets, { overlap: '600s' });
    clock.advance(599_999);
    expect([await signIn(), await signIn(body.clientSecret)]).toEqual([200, 200]);
    clock.advance(1);
    expect([await signIn(), await signIn(body.clientSecret)]).toEqual([401, 200]);
    expect((await list()).map(({ id }) => id)).toEqual([body.id]);
    expect(await eventTypes()).toEqual(['MachineUserAdded', 'MachineSecretSet', 'MachineSecretSet']);
  });

  it('is refused from its expiry on, and the user then has no secret', async () => {
    const { call, secrets, signIn, clock, robot, user } = await rotating();
    const expirationDate = new Date(clock.now.getTime() + 60_000).toISOString();
    const changed = await call('PUT', `${secrets}/${idOf(robot.clientSecret)}/expiry`, { expirationDate });
    expect([changed.status, changed.body.sequence]).toEqual([200, '3']);
    clock.advance(59_999);
    expect([await signIn(), (await user()).machine.hasSecret]).toEqual([200, true]);
    clock.advance(1);
    expect([await signIn(), (await user()).machine.hasSecret]).toEqual([401, undefined]);
  });

  it('retires now, unless it is the last, or goes on after all', async () => {
    const { call, secrets, signIn, robot } = await rotating();
    const old = `${secrets}/${idOf(robot.clientSecret)}`;
    expect((await call('POST', `${old}/_retire`, {})).body.details[0].id).toBe('KEYTURN-LastSecret');
    const { body } = await call('POST', secrets, { overlap: '3600s' });
    expect((await call('POST', `${secrets}/${body.id}/_retire`, {})).status).toBe(400);
    expect((await call('POST', `${old}/_cancel_retirement`, {})).status).toBe(200);
    expect((await call('POST', `${old}/_cancel_retirement`, {})).body.details[0].id).toBe(
      'KEYTURN-NotRetiring',
    );
    expect((await call('POST', `${secrets}/${body.id}/_retire`, {})).status).toBe(200);
    expect([await signIn(), await signIn(body.clientSecret)]).toEqual([200, 401]);
    expect((await call('GET', `${secrets}/${body.id}`)).status).toBe(404);
  });

  it('is bound to networks', async () => {
    const { call, secrets, signIn } = await rotating();
    const elsewhere = await call('POST', secrets, { overlap: '0s', allowedNetworks: ['192.0.2.0/24'] });
    expect(await signIn(elsewhere.body.clientSecret)).toBe(401);
    const here = await call('POST', secrets, { allowedNetworks: ['2001:db8::/32', '127.0.0.0/8'] });
    expect(await signIn(here.body.clientSecret)).toBe(200);
    for (const network of ['127.0.0.1', '127.0.0.0/33', 'localhost/8', '::/129', '1.2.3.4/8/8']) {
      const refused = await call('POST', secrets, { overlap: '0s', allowedNetworks: [network] });
      expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining(network)]);
    }
  });

  it.each([
    ['is bound to the address that a trusted proxy names', ['127.0.0.1'], 200],
    ['is not freed by the header of somebody else', [], 401],
  ])('%s', async (_, trustedProxies, expected) => {
    const { running, robot, call, secrets } = await rotating({ trustedProxies });
    const { body } = await call('POST', secrets, { allowedNetworks: ['192.0.2.0/24'] });
    const signInFrom = async (address: string) => {
      const response = await fetch(`${running.url}/oauth/v2/token`, {
        method: 'POST',
        headers: { 'x-forwarded-for': address },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: robot.clientId,
          client_secret: body.clientSecret,
          scope: 'openid',
        }),
      });
      return response.status;
    };
    expect([await signInFrom('192.0.2.7'), await signInFrom('198.51.100.7')]).toEqual([expected, 401]);
  });

  it('that is used after its replacement is told of once an hour: to subscribers, in lists, in history', async () => {
    // Tokens outlive the hours of this test.
    const { running, token, call, secrets, signIn, clock, robot } = await rotating({
      accessTokenLifetime: 86_400,
    });
    const { body } = await call('POST', secrets, { overlap: '86400s' });
    const type = 'MachineSecretUsedAfterReplacement';
    const stream = openEventSource(`${running.url}/keyturn/v1/events?type=${type}`, () => token);
    await stream.opened;
    const old = idOf(robot.clientSecret);
    const told = async (count: number) => {
      await expect
        .poll(() => stream.events.map(({ data }) => data))
        .toEqual(Array(count).fill({ userId: robot.userId, secretId: old }));
      const { secret } = (await call('GET', `${secrets}/${old}`)).body;
      expect(secret.lastLateUseDate).toBe(clock.now.toISOString());
    };
    await signIn(body.clientSecret);
    await signIn();
    await told(1);
    clock.advance(hour - 1);
    expect(await signIn()).toBe(200);
    clock.advance(1);
    expect(await signIn()).toBe(200);
    await told(2);
    const history = await Array.fromAsync(userHistory(running.service.eventStore, robot.userId));
    expect(history.filter((entry) => entry.type === type)).toHaveLength(2);
  });

  it('is of no use after as many uses as it may have, also at once', async () => {
    const { call, secrets, signIn } = await rotating();
    const { body } = await call('POST', secrets, { maxUses: 3 });
    const statuses = await Promise.all(Array.from({ length: 6 }, () => signIn(body.clientSecret)));
    expect(statuses.toSorted()).toEqual([200, 200, 200, 401, 401, 401]);
    expect((await call('GET', `${secrets}/${body.id}`)).body.secret).toMatchObject({ maxUses: 3, uses: 3 });
  });

  it.each([
    ['{"overlap":"-1s"}', 'Overlap'],
    ['{"overlap":"1.5s"}', 'Overlap'],
    ['{"expirationDate":"2020-01-01T00:00:00Z"}', 'not in the future'],
    ['{"maxUses":0}', 'MaxUses'],
  ])('%s is refused with a reason', async (body, reason) => {
    const { call, secrets } = await rotating();
    const refused = await call('POST', secrets, JSON.parse(body));
    expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining(reason)]);
  });

  it('of another organization is not there', async () => {
    const { running, token, robot, management } = await rotating();
    const { body } = await management('POST', '/orgs', { name: 'Other' });
    const headers = { authorization: `Bearer ${token}`, 'x-zitadel-orgid': body.id };
    const path = `${running.url}/keyturn/v1/users/${robot.userId}/secrets/${idOf(robot.clientSecret)}`;
    expect((await fetch(path, { headers })).status).toBe(404);
    expect((await fetch(`${path}/_retire`, { method: 'POST', headers })).status).toBe(404);
  });
});

describe('a secret policy', () => {
  it('lets a plain PUT rotate with an overlap', async () => {
    const { call, robot, put, signIn, clock, user } = await rotating();
    const policy = await call('PUT', '/orgs/me/secret-policy', { settings: { overlap: '86400s' } });
    expect(policy.body).toEqual({
      settings: { overlap: '86400s' },
      effective: { overlap: '86400s', maxLiveSecrets: 2, endTokens: false, retireLeaked: true },
    });
    expect((await user()).details.sequence).toBe('2');
    const second = await put();
    expect([await signIn(), await signIn(second)]).toEqual([200, 200]);
    expect((await user()).details.sequence).toBe('3');
    clock.advance(day);
    expect([await signIn(robot.clientSecret), await signIn(second)]).toEqual([401, 200]);
  });

  it('is that of the nearest level', async () => {
    const { call, robot, put, signIn } = await rotating();
    await call('PUT', '/instance/secret-policy', { settings: { overlap: '60s', maxLiveSecrets: 3 } });
    await call('PUT', '/orgs/me/secret-policy', { settings: { overlap: '600s' } });
    const ofUser = `/users/${robot.userId}/secret-policy`;
    expect((await call('GET', ofUser)).body).toEqual({
      settings: {},
      effective: { overlap: '600s', maxLiveSecrets: 3, endTokens: false, retireLeaked: true },
    });
    await call('PUT', ofUser, { settings: { overlap: '0s' } });
    await put();
    expect(await signIn()).toBe(401);
    expect((await call('DELETE', ofUser)).body.effective.overlap).toBe('600s');
    expect((await call('DELETE', '/orgs/me/secret-policy')).body.effective.overlap).toBe('60s');
    expect((await call('DELETE', '/instance/secret-policy')).body).toEqual({
      settings: {},
      effective: { overlap: '0s', maxLiveSecrets: 2, endTokens: false, retireLeaked: true },
    });
  });

  it('limits how long secrets live', async () => {
    const { call, secrets, clock } = await rotating();
    await call('PUT', '/orgs/me/secret-policy', { settings: { lifetime: '3600s', maxLifetime: '7200s' } });
    const added = await call('POST', secrets, {});
    const { secret } = (await call('GET', `${secrets}/${added.body.id}`)).body;
    expect(secret.expirationDate).toBe(new Date(clock.now.getTime() + 3_600_000).toISOString());
    const expirationDate = new Date(clock.now.getTime() + 7_201_000).toISOString();
    const refused = await call('POST', secrets, { overlap: '0s', expirationDate });
    expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining('7200 seconds')]);
  });

  it('ends tokens with secrets, if it says so', async () => {
    const { call, running, robot, put } = await rotating();
    await call('PUT', '/orgs/me/secret-policy', { settings: { endTokens: true } });
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret, 'openid');
    const userinfo = async () =>
      (
        await fetch(`${running.url}/oidc/v1/userinfo`, {
          headers: { authorization: `Bearer ${body.access_token}` },
        })
      ).status;
    expect(await userinfo()).toBe(200);
    await put();
    expect(await userinfo()).toBe(401);
  });

  it.each([
    [{}, 'sets nothing'],
    [{ maxLiveSecrets: 0 }, 'maxLiveSecrets'],
    [{ overlap: '1.5s' }, 'Overlap'],
    [{ lifetime: '20s', maxLifetime: '10s' }, 'longer than maxLifetime'],
  ])('%j is refused with a reason', async (settings, reason) => {
    const { call } = await rotating();
    const refused = await call('PUT', '/orgs/me/secret-policy', { settings });
    expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining(reason)]);
  });

  it('of the instance is for roles of the instance, of users for more than user managers', async () => {
    const { running, robot, management } = await rotating();
    const helper = await addRobot(management, 'helper');
    const as = async (roles: string[], method: string, path: string) => {
      await management('POST', '/orgs/me/members', { userId: helper.userId, roles });
      const { body } = await requestToken(running.url, helper.clientId, helper.clientSecret);
      const response = await fetch(`${running.url}/keyturn/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${body.access_token}`, 'content-type': 'application/json' },
        ...(method === 'PUT' && { body: '{"settings":{"overlap":"60s"}}' }),
      });
      await management('DELETE', `/orgs/me/members/${helper.userId}`);
      return response.status;
    };
    const ofUser = `/users/${robot.userId}/secret-policy`;
    expect(await as(['ORG_OWNER'], 'PUT', '/instance/secret-policy')).toBe(403);
    expect(await as(['ORG_OWNER'], 'PUT', ofUser)).toBe(200);
    expect(await as(['ORG_USER_MANAGER'], 'PUT', ofUser)).toBe(403);
    expect(await as(['ORG_USER_MANAGER'], 'GET', ofUser)).toBe(200);
    expect(await as(['ORG_OWNER_VIEWER'], 'DELETE', '/orgs/me/secret-policy')).toBe(403);
  });
});

it('the same is served over gRPC, and described in the OpenAPI document', async () => {
  const { running, token, robot, signIn } = await rotating();
  const transport = createGrpcTransport({ baseUrl: running.url });
  const headers = { authorization: `Bearer ${token}` };
  const secrets = createClient(MachineSecretService, transport);
  const policies = createClient(SecretPolicyService, transport);
  await policies.setOrganizationSecretPolicy({ settings: { maxLiveSecrets: 3 } }, { headers });
  const added = await secrets.addMachineSecret(
    { userId: robot.userId, overlap: { seconds: 60n } },
    { headers },
  );
  expect(await signIn(added.clientSecret)).toBe(200);
  const { secret } = await secrets.getMachineSecret(
    { userId: robot.userId, secretId: idOf(robot.clientSecret) },
    { headers },
  );
  expect(secret?.retirementDate).toBeDefined();
  const { paths } = (await answerOf(await fetch(`${running.url}/openapi.json`))).body;
  expect(paths['/keyturn/v1/users/{user_id}/secrets']).toMatchObject({ get: {}, post: {} });
  expect(Object.keys(paths).filter((path) => path.includes('secret-policy'))).toHaveLength(3);
});
