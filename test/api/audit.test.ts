import { describe, expect, it } from 'vitest';
import { organization } from '../../src/domain/aggregates.ts';
import { context } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

async function audited() {
  const running = await runningService();
  const token = await adminToken(running);
  const call = managementClient(running.url, token);
  const robot = await addRobot(call);
  return { running, token, call, robot, ask: auditor(running.url, token) };
}

function auditor(url: string, token: string) {
  return async (path: string, headers: Record<string, string> = {}) =>
    answerOf(
      await fetch(`${url}/keyturn/v1${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } }),
    );
}

describe('GET /keyturn/v1/users/{id}/history', () => {
  it('tells the life of a user, with its editors, and no hash', async () => {
    const { running, robot, ask } = await audited();
    const { status, body } = await ask(`/users/${robot.userId}/history`);
    expect(status).toBe(200);
    expect(body.events).toMatchObject([
      {
        type: 'MachineUserAdded',
        sequence: '1',
        stream: `machineUser-${robot.userId}`,
        editor: { userId: running.admin.userId, userName: 'admin' },
        organizationId: running.admin.organizationId,
        address: '127.0.0.1',
      },
      {
        type: 'MachineSecretSet',
        sequence: '2',
        changes: [{ field: 'secrets', to: robot.clientSecret.slice(4, 20) }],
      },
    ]);
    expect(JSON.stringify(body)).not.toContain('$2b$');
  });

  it('is read page by page, and cut by time and type', async () => {
    const { robot, ask } = await audited();
    const path = `/users/${robot.userId}/history`;
    const first = await ask(`${path}?limit=1`);
    expect(first.body.events).toHaveLength(1);
    const next = await ask(`${path}?limit=1&after=${first.body.events[0].position}`);
    expect(next.body.events).toMatchObject([{ sequence: '2' }]);
    expect((await ask(`${path}?type=MachineSecretSet`)).body.events).toMatchObject([{ sequence: '2' }]);
    expect((await ask(`${path}?until=2000-01-01`)).body.events ?? []).toEqual([]);
    expect((await ask(`${path}?since=2000-01-01`)).body.events).toHaveLength(2);
  });

  it.each([
    ['limit=1001', 'invalid GetUserHistoryRequest.Limit: value must be at most 1000'],
    ['since=yesterday', 'invalid GetUserHistoryRequest.Since: value must be a time (RFC 3339)'],
  ])('refuses %s', async (query, message) => {
    const { robot, ask } = await audited();
    const { status, body } = await ask(`/users/${robot.userId}/history?${query}`);
    expect([status, body.message]).toEqual([400, message]);
  });
});

describe('GET /keyturn/v1/users/{id}/as-of', () => {
  it('shows the user as it was, with the secret that was valid then', async () => {
    const { call, robot, ask } = await audited();
    const path = `/users/${robot.userId}`;
    const [added] = (await ask(`${path}/history`)).body.events;
    const then = await ask(`${path}/as-of?moment=${added.position}`);
    expect(then.body).toMatchObject({
      position: added.position,
      user: { userName: 'robot', state: 'active' },
    });
    expect(then.body.user.secrets ?? []).toEqual([]);
    await call('PUT', `${path}/secret`, {});
    const [, set] = (await ask(`${path}/history`)).body.events;
    const before = await ask(`${path}/as-of?moment=${set.position}`);
    expect(before.body.user).toMatchObject({
      canSignIn: true,
      secrets: [{ secretId: robot.clientSecret.slice(4, 20), creationDate: set.time }],
    });
    const now = await ask(`${path}/as-of?moment=2999-01-01`);
    expect(now.body.user.secrets).toHaveLength(1);
    expect(now.body.user.secrets).not.toEqual(before.body.user.secrets);
  });

  it('knows no user before its time, and no moment past the end of the log', async () => {
    const { robot, ask } = await audited();
    expect((await ask(`/users/${robot.userId}/as-of?moment=2000-01-01`)).status).toBe(404);
    const future = await ask(`/users/${robot.userId}/as-of?moment=999999`);
    expect([future.status, future.body.message]).toEqual([
      400,
      'invalid GetUserAsOfRequest.Moment: value must be a time (RFC 3339) or a position of the log',
    ]);
    expect((await ask(`/users/${robot.userId}/as-of`)).status).toBe(400);
  });
});

describe('auditors', () => {
  it.each(['history', 'as-of?moment=2999-01-01'])(
    'need audit.read, in the organization of the user: %s',
    async (what) => {
      const { running, call, robot } = await audited();
      const path = `/users/${robot.userId}/${what}`;
      const { commands } = running.service;
      const { organizationId } = running.admin;
      const statusFor = async (roles: readonly string[]) => {
        const name = `auditor-${roles.join('-').toLowerCase()}`;
        const reader = await addRobot(call, name);
        const add = { type: 'AddMember', userId: reader.userId, roles } as const;
        if (roles.length > 0) await commands.execute(organization, organizationId, add, context);
        const { body } = await requestToken(running.url, reader.clientId, reader.clientSecret);
        return (await auditor(running.url, body.access_token)(path)).status;
      };
      expect(await statusFor([])).toBe(404);
      expect(await statusFor(['ORG_USER_MANAGER'])).toBe(403);
      expect(await statusFor(['ORG_OWNER_VIEWER'])).toBe(200);
      expect((await fetch(`${running.url}/keyturn/v1${path}`)).status).toBe(401);
    },
  );

  it('do not see the users of another organization, and no one who never was', async () => {
    const { running, robot, ask } = await audited();
    const add = { type: 'AddOrganization', name: 'Second' } as const;
    await running.service.commands.execute(organization, 'second', add, context);
    const inSecond = { 'x-zitadel-orgid': 'second' };
    expect((await ask(`/users/${robot.userId}/history`, inSecond)).body.message).toBe(
      'User could not be found (QUERY-Dfbg2)',
    );
    expect((await ask('/users/nobody/history')).status).toBe(404);
  });
});
