import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, test } from 'vitest';
import { context } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const user = '/management/v1/users/1';
const json = { 'content-type': 'application/json' };

async function service(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const authorization = `Bearer ${await adminToken(running)}`;
  const ask = async (path: string, init: RequestInit = {}) => {
    const { status, headers, body } = await answerOf(await fetch(running.url + path, init));
    return { status, headers, body };
  };
  return { running, authorization, ask };
}

const tokenInvalid = {
  code: 16,
  message: 'Errors.Token.Invalid (AUTH-7fs1e)',
  details: [
    {
      '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail',
      id: 'AUTH-7fs1e',
      message: 'Errors.Token.Invalid',
    },
  ],
};

describe('a token', () => {
  it('is needed', async () => {
    const { ask } = await service();
    const { status, body, headers } = await ask(user);
    expect([status, body]).toEqual([401, { code: 16, message: 'auth header missing' }]);
    expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  it.each(['Basic YTpi', 'Bearer', 'Bearer a b', 'token'])('is not read from %j', async (authorization) => {
    const { ask } = await service();
    const { status, body } = await ask(user, { headers: { authorization } });
    expect([status, body.message]).toEqual([401, 'invalid auth header (AUTH-toLo1)']);
  });

  it('is refused when it is malformed, tampered with, or unsigned', async () => {
    const { ask, authorization } = await service();
    const [header = '', payload = '', signature = ''] = authorization.slice('Bearer '.length).split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const other = Buffer.from(JSON.stringify({ ...claims, sub: '1' })).toString('base64url');
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url');
    const tokens = [
      'x',
      'a.b.c',
      `${header}.${other}.${signature}`,
      `${none}.${payload}.`,
      `${header}.${payload}.AAAA`,
    ];
    for (const token of tokens) {
      const { status, body } = await ask(user, { headers: { authorization: `Bearer ${token}` } });
      expect([token, status, body]).toEqual([token, 401, tokenInvalid]);
    }
  });

  it('is refused when another issuer signed it', async () => {
    const { ask } = await service();
    const foreign = await service();
    const { status, body } = await ask(user, { headers: { authorization: foreign.authorization } });
    expect([status, body]).toEqual([401, tokenInvalid]);
  });

  it('is refused when it is expired, also after it was accepted', async () => {
    let now = Date.now();
    const { ask, authorization } = await service({ clock: () => new Date(now) });
    expect((await ask(user, { headers: { authorization } })).status).toBe(404);
    now += 3600 * 1000;
    const { status, body } = await ask(user, { headers: { authorization } });
    expect([status, body]).toEqual([401, tokenInvalid]);
  });

  it('is refused when it was not asked for with the audience of the management API', async () => {
    const { ask, running } = await service();
    const { body: granted } = await requestToken(
      running.url,
      running.admin.clientId,
      running.admin.clientSecret,
      'openid',
    );
    const { status, body } = await ask(user, {
      headers: { authorization: `Bearer ${granted.access_token}` },
    });
    expect([status, body]).toEqual([401, tokenInvalid]);
  });

  it('is refused as soon as its user is inactive', async () => {
    const { ask, authorization, running } = await service();
    const { userId, organizationId } = running.admin;
    const other = await addRobot(managementClient(running.url, authorization.slice('Bearer '.length)));
    await running.addInstanceMember(other.userId, 'IAM_OWNER');
    expect((await ask(user, { headers: { authorization } })).status).toBe(404);
    await running.service.machineUsers.deactivate({ userId, organizationId }, context);
    const { status, body } = await ask(user, { headers: { authorization } });
    expect([status, body]).toEqual([401, tokenInvalid]);
  });

  it('is checked before the fields', async () => {
    const { ask } = await service();
    const { status } = await ask('/management/v1/users/machine', {
      method: 'POST',
      headers: json,
      body: '{}',
    });
    expect(status).toBe(401);
  });
});

describe('a body', () => {
  const post = async (init: RequestInit) => {
    const { ask, authorization } = await service();
    const headers = { authorization, ...init.headers };
    return ask('/management/v1/users/machine', { method: 'POST', ...init, headers });
  };

  it.each([
    '{',
    '[]',
    '"text"',
    '{"userName":1}',
    '{"userName":"a","userName":"b"}',
    '{"name":["a"]}',
    'null',
  ])('that is the unreadable %j is refused, with a reason', async (body) => {
    const answer = await post({ headers: json, body });
    expect([answer.status, answer.body.code]).toEqual([400, 3]);
    expect(answer.body.message).toMatch(/^invalid request: /);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml'])(
    'of type %s is refused',
    async (type) => {
      const answer = await post({ headers: { 'content-type': type }, body: '{}' });
      expect([answer.status, answer.body]).toEqual([
        415,
        { code: 3, message: 'content type is not supported, send application/json' },
      ]);
    },
  );

  it('that is too large is refused', async () => {
    const answer = await post({ headers: json, body: JSON.stringify({ name: 'x'.repeat(300_000) }) });
    expect([answer.status, answer.body]).toEqual([413, { code: 8, message: 'request body is too large' }]);
  });

  it('that is nested without end is refused', async () => {
    const answer = await post({
      headers: json,
      body: `{"name":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    });
    expect(answer.status).toBe(400);
  });

  it('that is refused changes nothing', async () => {
    const { running, ask, authorization } = await service();
    const count = async () => {
      const all = await Array.fromAsync(running.service.eventStore.readAll());
      // That the token was granted may be recorded later.
      return all.filter(({ type }) => type !== 'MachineSecretUsed').length;
    };
    const before = await count();
    for (const body of [
      '{',
      '{"userName":""}',
      '{"userName":"r"}',
      '{"userName":"r","name":"R","userId":""}',
    ]) {
      const headers = { ...json, authorization };
      const { status } = await ask('/management/v1/users/machine', { method: 'POST', headers, body });
      expect(status).toBe(400);
    }
    expect(await count()).toBe(before);
  });
});

describe('a path', () => {
  it.each(['/', '/management/v1', '/management/v1/nothing', '/oauth/v2/nothing'])(
    'that leads nowhere, %s, answers 404',
    async (path) => {
      const { ask } = await service();
      const { status, body } = await ask(path);
      expect([status, body]).toEqual([404, { code: 5, message: 'Not Found' }]);
    },
  );

  it.each([
    ['DELETE', '/management/v1/healthz', 'GET, HEAD'],
    ['POST', '/management/v1/users/1/secret', 'DELETE, PUT'],
    ['GET', '/management/v1/users/machine', 'POST'],
    ['GET', '/oauth/v2/token', 'POST'],
    ['POST', '/.well-known/openid-configuration', 'GET, HEAD'],
  ])('does not take %s %s, and says what it takes', async (method, path, allow) => {
    const { ask } = await service();
    const { status, body, headers } = await ask(path, { method });
    expect([status, body, headers.get('allow')]).toEqual([
      405,
      { code: 12, message: 'Method Not Allowed' },
      allow,
    ]);
  });

  it('with an id that is too long names the field', async () => {
    const { ask, authorization } = await service();
    const { status, body } = await ask(`/management/v1/users/${'x'.repeat(201)}`, {
      headers: { authorization },
    });
    expect([status, body]).toEqual([
      400,
      {
        code: 3,
        message: 'invalid GetUserByIDRequest.Id: value length must be between 1 and 200 runes, inclusive',
      },
    ]);
  });

  it('with an empty id names the field', async () => {
    const { ask, authorization } = await service();
    const { status, body } = await ask('/management/v1/users//secret', {
      method: 'PUT',
      headers: { authorization },
    });
    expect([status, body]).toEqual([
      400,
      {
        code: 3,
        message: 'invalid GenerateMachineSecretRequest.UserId: value length must be at least 1 runes',
      },
    ]);
  });

  it('that is not decodable is refused', async () => {
    const { ask } = await service();
    const { status, body } = await ask('/management/v1/users/%ff');
    expect([status, body.code]).toEqual([400, 3]);
  });
});

test('what is no HTTP is refused, and the service goes on', async () => {
  const { running, ask } = await service();
  const socket = connect(Number(new URL(running.url).port), '127.0.0.1');
  socket.end('\x16\x03\x01 this is not HTTP\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1.1 400/);
  expect((await ask('/debug/healthz')).status).toBe(200);
});

test('a fault of the store is answered without its text, and logged', async () => {
  const { running } = await service();
  const call = managementClient(running.url, await adminToken(running));
  const { userId } = await addRobot(call);
  await running.service.eventStore.close();
  const { status, body } = await call('PUT', `/users/${userId}/secret`, {});
  expect([status, body]).toEqual([500, { code: 13, message: 'internal error' }]);
  expect(running.log()).toContain('the event store is closed');
});
