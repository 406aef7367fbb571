import { describe, expect, it, test } from 'vitest';
import { organization } from '../../src/domain/aggregates.ts';
import { context } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  type CallManagement,
  managementClient,
  type RunningService,
  requestToken,
  runningService,
} from '../support/running-service.ts';

async function managed(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const token = await adminToken(running);
  return { running, token, call: managementClient(running.url, token) };
}

const detail = (id: string, message: string) => ({
  '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail',
  id,
  message,
});
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

describe('AddMachineUser', () => {
  it('answers with the id and the details of the new user', async () => {
    const { running, call } = await managed();
    const { status, body } = await call('POST', '/users/machine', { userName: 'robot', name: 'Robot' });
    expect(status).toBe(200);
    expect(body).toEqual({
      userId: expect.stringMatching(/^[1-9]\d{17}$/),
      details: {
        sequence: '1',
        creationDate: expect.stringMatching(rfc3339),
        changeDate: expect.stringMatching(rfc3339),
        resourceOwner: running.admin.organizationId,
      },
    });
  });

  it('takes an id of the caller, all fields in either spelling, and ignores unknown ones', async () => {
    const { call } = await managed();
    await call('POST', '/users/machine', {
      user_id: 'my-id',
      user_name: 'robot',
      name: 'Robot',
      description: 'welds',
      access_token_type: 'ACCESS_TOKEN_TYPE_JWT',
      colour: 'red',
      __proto__: { userName: 'other' },
    });
    const { body } = await call('GET', '/users/my-id');
    expect(body.user).toMatchObject({
      id: 'my-id',
      userName: 'robot',
      machine: { name: 'Robot', description: 'welds', accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' },
    });
  });

  it('refuses a user name and an id in use', async () => {
    const { call } = await managed();
    const robot = { userId: 'r', userName: 'robot', name: 'Robot' };
    await call('POST', '/users/machine', robot);
    const sameName = await call('POST', '/users/machine', { ...robot, userId: 's' });
    expect([sameName.status, sameName.body]).toEqual([
      409,
      {
        code: 6,
        message: 'User already exists (V3-DKcYh)',
        details: [detail('V3-DKcYh', 'User already exists')],
      },
    ]);
    const sameId = await call('POST', '/users/machine', { ...robot, userName: 's' });
    expect([sameId.status, sameId.body.code, sameId.body.message]).toEqual([
      400,
      9,
      'Errors.User.AlreadyExisting (COMMAND-k2una)',
    ]);
  });

  const prefix = 'invalid AddMachineUserRequest.';
  it.each([
    [{ name: 'Robot' }, `${prefix}UserName: value length must be between 1 and 200 runes, inclusive`],
    [{ userName: 'r', name: '' }, `${prefix}Name: value length must be between 1 and 200 runes, inclusive`],
    [
      { userName: 'r'.repeat(201), name: 'R' },
      `${prefix}UserName: value length must be between 1 and 200 runes, inclusive`,
    ],
    [
      { userName: 'r', name: 'R', description: 'x'.repeat(501) },
      `${prefix}Description: value length must be at most 500 runes`,
    ],
    [
      { userName: 'r', name: 'R', accessTokenType: 7 },
      `${prefix}AccessTokenType: value must be one of the defined enum values`,
    ],
    [
      { userName: 'r', name: 'R', userId: '' },
      `${prefix}UserId: value length must be between 1 and 200 runes, inclusive`,
    ],
  ])('names the field that is wrong in %j', async (body, message) => {
    const { call } = await managed();
    const answer = await call('POST', '/users/machine', body);
    expect([answer.status, answer.body]).toEqual([400, { code: 3, message }]);
  });

  it('counts lengths in characters, as ZITADEL does', async () => {
    const { call } = await managed();
    const { status } = await call('POST', '/users/machine', {
      userName: '\u{1F511}'.repeat(200),
      name: 'Keys',
    });
    expect(status).toBe(200);
  });

  it('refuses names that are blank', async () => {
    const { call } = await managed();
    const { status, body } = await call('POST', '/users/machine', { userName: ' ', name: 'Robot' });
    expect([status, body.message]).toEqual([400, 'Userdata is invalid (COMMAND-bm9Ds)']);
  });
});

describe('GenerateMachineSecret', () => {
  it('answers as the API page shows', async () => {
    const { running, call } = await managed();
    const { body: user } = await call('POST', '/users/machine', { userName: 'robot', name: 'Robot' });
    const { status, headers, body } = await call('PUT', `/users/${user.userId}/secret`, {});
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      clientId: 'robot',
      clientSecret: expect.stringMatching(/^kts_[0-9A-Za-z]{60}$/),
      details: {
        sequence: '2',
        creationDate: expect.stringMatching(rfc3339),
        changeDate: body.details.creationDate,
        resourceOwner: running.admin.organizationId,
      },
    });
  });

  it('takes an empty body, without a content type too', async () => {
    const { call } = await managed();
    const { userId } = await addRobot(call);
    expect((await call('PUT', `/users/${userId}/secret`)).body.details.sequence).toBe('3');
    expect((await call('PUT', `/users/${userId}/secret`, '')).body.details.sequence).toBe('4');
  });

  it('lets the path decide which user is meant', async () => {
    const { call } = await managed();
    const { userId } = await addRobot(call);
    const { body } = await call('PUT', `/users/${userId}/secret`, { userId: 'other', user_id: undefined });
    expect(body.details.sequence).toBe('3');
  });

  it('answers 50 parallel calls with 50 sequences, and exactly the last secret works', async () => {
    const { running, call } = await managed();
    const { userId } = await addRobot(call);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => call('PUT', `/users/${userId}/secret`, {})),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    const sorted = answers
      .map(({ body }) => ({ sequence: Number(body.details.sequence), secret: String(body.clientSecret) }))
      .sort((a, b) => a.sequence - b.sequence);
    expect(sorted.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 3),
    );
    const works = await Promise.all(
      sorted.map(async ({ secret }) => (await requestToken(running.url, 'robot', secret)).status === 200),
    );
    expect(works).toEqual(sorted.map((_, index) => index === 49));
  });
});

describe('RemoveMachineSecret', () => {
  it('removes the secret, once', async () => {
    const { running, call } = await managed();
    const { userId, clientId, clientSecret } = await addRobot(call);
    const first = await call('DELETE', `/users/${userId}/secret`);
    expect([first.status, first.body.details.sequence]).toEqual([200, '3']);
    expect((await requestToken(running.url, clientId, clientSecret)).status).toBe(401);
    const second = await call('DELETE', `/users/${userId}/secret`);
    expect([second.status, second.body]).toEqual([
      400,
      {
        code: 9,
        message: "Secret doesn't exist (COMMAND-coi82n)",
        details: [detail('COMMAND-coi82n', "Secret doesn't exist")],
      },
    ]);
  });
});

describe('GetUserByID', () => {
  it('shows the user, leaving out zero values as protobuf does', async () => {
    const { running, call } = await managed();
    const { body: added } = await call('POST', '/users/machine', { userName: 'robot', name: 'Robot' });
    const { body } = await call('GET', `/users/${added.userId}`);
    expect(body).toEqual({
      user: {
        id: added.userId,
        details: { ...added.details, resourceOwner: running.admin.organizationId },
        state: 'USER_STATE_ACTIVE',
        userName: 'robot',
        loginNames: ['robot'],
        preferredLoginName: 'robot',
        machine: { name: 'Robot' },
      },
    });
  });

  it('sees every write of the caller at once', async () => {
    const { call, running } = await managed();
    const { userId } = await addRobot(call);
    for (let sequence = 3; sequence < 20; sequence++) {
      await call('PUT', `/users/${userId}/secret`, {});
      const { body } = await call('GET', `/users/${userId}`);
      expect(body.user.details.sequence).toBe(String(sequence));
    }
    await call('DELETE', `/users/${userId}/secret`);
    expect((await call('GET', `/users/${userId}`)).body.user.machine.hasSecret).toBeUndefined();
    await running.service.machineUsers.deactivate(
      { userId, organizationId: running.admin.organizationId },
      context,
    );
    expect((await call('GET', `/users/${userId}`)).body.user.state).toBe('USER_STATE_INACTIVE');
  });
});

test('Healthz needs no token', async () => {
  const { url } = await runningService();
  const response = await fetch(`${url}/management/v1/healthz`);
  expect([response.status, await response.json()]).toEqual([200, {}]);
});

/** A second organization, with an owner of its own who can sign in. */
async function secondOrganization({ service, url }: RunningService, roles: string[]) {
  // The application's own use cases: the API has no methods for organizations yet.
  const { commands, machineUsers } = service;
  const organizationId = 'second';
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'Second' }, context);
  const { userId } = await machineUsers.add(
    { organizationId, userName: 'owner', name: 'Owner', description: '', accessTokenType: 'jwt' },
    context,
  );
  if (roles.length > 0) {
    await commands.execute(organization, organizationId, { type: 'AddMember', userId, roles }, context);
  }
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  const { body } = await requestToken(url, 'owner', clientSecret);
  return { organizationId, userId, call: managementClient(url, body.access_token) };
}

describe('organizations', () => {
  const notFound = { code: 5, message: 'User could not be found (QUERY-Dfbg2)' };
  const everyCall = (call: CallManagement, userId: string, headers?: Record<string, string>) => [
    call('GET', `/users/${userId}`, undefined, headers),
    call('PUT', `/users/${userId}/secret`, {}, headers),
    call('DELETE', `/users/${userId}/secret`, undefined, headers),
  ];

  it('do not see the users of another one: they look like users that do not exist', async () => {
    const { running, call } = await managed();
    const { userId } = await addRobot(call);
    const second = await secondOrganization(running, ['ORG_OWNER']);
    for (const user of [userId, 'nobody', '"><']) {
      for (const answer of await Promise.all(everyCall(second.call, encodeURIComponent(user)))) {
        expect(answer.status).toBe(404);
        expect(answer.body).toMatchObject(notFound);
      }
    }
    expect((await call('GET', `/users/${userId}`)).body.user.details.sequence).toBe('2');
  });

  it('are chosen by x-zitadel-orgid, where the caller has a role', async () => {
    const { running, call } = await managed();
    const second = await secondOrganization(running, ['ORG_OWNER']);
    const inSecond = { 'x-zitadel-orgid': second.organizationId };
    const added = await call('POST', '/users/machine', { userName: 'r2', name: 'R2' }, inSecond);
    expect(added.body.details.resourceOwner).toBe('second');
    expect((await call('GET', `/users/${added.body.userId}`)).status).toBe(404);
    expect((await call('GET', `/users/${added.body.userId}`, undefined, inSecond)).status).toBe(200);
    expect((await second.call('GET', `/users/${added.body.userId}`)).status).toBe(200);

    const elsewhere = { 'x-zitadel-orgid': running.admin.organizationId };
    const refused = await second.call('POST', '/users/machine', { userName: 'r3', name: 'R3' }, elsewhere);
    expect([refused.status, refused.body.message]).toEqual([404, 'membership not found (AUTHZ-cdgFk)']);
    const unknown = await call('GET', '/users/x', undefined, { 'x-zitadel-orgid': 'unknown' });
    expect([unknown.status, unknown.body]).toMatchObject([
      403,
      { code: 7, message: "Organisation doesn't exist (AUTH-Bs7Ds)" },
    ]);
  });

  it.each([
    [[], 404, 404, 'membership not found (AUTHZ-cdgFk)'],
    [['ORG_PROJECT_CREATOR'], 403, 403, 'No matching permissions found (AUTH-5mWD2)'],
    [['ORG_OWNER_VIEWER'], 200, 403, 'No matching permissions found (AUTH-5mWD2)'],
    [['ORG_USER_MANAGER'], 200, 200, undefined],
  ])('give a member with the roles %j its permissions only', async (roles, read, write, message) => {
    const { running } = await managed();
    const { call, userId } = await secondOrganization(running, roles);
    const reading = await call('GET', `/users/${userId}`);
    const writing = await call('PUT', `/users/${userId}/secret`, {});
    expect([reading.status, writing.status]).toEqual([read, write]);
    expect(writing.body.message).toBe(message);
  });
});

test('every event of a request names its caller, its origin and its request', async () => {
  const { running, call } = await managed();
  const { headers, body } = await call(
    'POST',
    '/users/machine',
    { userName: 'robot', name: 'Robot' },
    { 'user-agent': `terraform/1.9 ${'x'.repeat(1000)}` },
  );
  const [added] = await Array.fromAsync(running.service.eventStore.readStream(`machineUser-${body.userId}`));
  expect(added?.metadata).toMatchObject({
    editor: { userId: running.admin.userId, organizationId: running.admin.organizationId },
    origin: { address: '127.0.0.1', userAgent: `terraform/1.9 ${'x'.repeat(242)}` },
    $correlationId: headers.get('x-request-id'),
  });
});

test('an event that no request caused, or one of before origins were kept, has none', async () => {
  const { running } = await managed();
  const [first] = await Array.fromAsync(running.service.eventStore.readAll({ limit: 1 }));
  expect(first?.metadata).not.toHaveProperty('origin');
});
