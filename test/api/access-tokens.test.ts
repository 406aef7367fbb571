import { createHash } from 'node:crypto';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it, test } from 'vitest';
import { machineUser } from '../../src/domain/aggregates.ts';
import { context, TestClock } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  type CallManagement,
  managementClient,
  managementScope,
  type Robot,
  requestToken,
  runningService,
} from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const jwt = { accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' } as const;

async function tokenService(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const { url, service, admin } = running;
  const call = managementClient(url, await adminToken(running));
  const post = async (path: string, body: Record<string, string>, client?: Robot) =>
    answerOf(
      await fetch(url + path, {
        method: 'POST',
        ...(client && {
          headers: { authorization: `Basic ${btoa(`${client.clientId}:${client.clientSecret}`)}` },
        }),
        body: new URLSearchParams(body),
      }),
    );
  const grant = async (robot: Robot, scope = managementScope): Promise<string> =>
    (await requestToken(url, robot.clientId, robot.clientSecret, scope)).body.access_token;
  return {
    running,
    call,
    grant,
    post,
    introspect: async (token: string, client: Robot) =>
      (await post('/oauth/v2/introspect', { token }, client)).body,
    revoke: (token: string, client: Robot) => post('/oauth/v2/revoke', { token }, client),
    userinfo: async (token: string) =>
      answerOf(await fetch(`${url}/oidc/v1/userinfo`, { headers: { authorization: `Bearer ${token}` } })),
    /** Changes a user past the API, as another node would. */
    change: (robot: Robot, type: 'Deactivate' | 'Reactivate' | 'Lock' | 'Unlock' | 'Remove' | 'EndTokens') =>
      service.commands.execute(
        machineUser,
        robot.userId,
        { type, organizationId: admin.organizationId },
        context,
      ),
  };
}

describe.each([
  ['opaque', {}],
  ['JWT', jwt],
])('an access token, %s,', (_, profile) => {
  it('has the form that the user is set to', async () => {
    const { call, grant } = await tokenService();
    const token = await grant(await addRobot(call, 'robot', profile));
    if ('accessTokenType' in profile) expect(decodeProtectedHeader(token).typ).toBe('at+jwt');
    else expect(token).toMatch(/^kta_[\w-]+$/);
  });

  it('opens the management API to a member', async () => {
    const { call, grant, running } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const asRobot = managementClient(running.url, await grant(robot));
    expect((await asRobot('GET', `/users/${robot.userId}`)).body.message).toContain('membership not found');
    const withoutAudience = managementClient(running.url, await grant(robot, 'openid'));
    expect((await withoutAudience('GET', `/users/${robot.userId}`)).status).toBe(401);
  });

  it('is introspected by its own user', async () => {
    const { call, grant, introspect, running } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const scope = 'openid profile urn:zitadel:iam:user:resourceowner';
    const answer = await introspect(await grant(robot, scope), robot);
    expect(answer).toEqual({
      active: true,
      iss: running.service.issuer,
      sub: robot.userId,
      aud: ['robot'],
      client_id: 'robot',
      username: 'robot',
      scope,
      token_type: 'Bearer',
      iat: expect.any(Number),
      nbf: answer.iat,
      exp: answer.iat + 3600,
      jti: expect.any(String),
      name: 'Robot',
      preferred_username: 'robot',
      updated_at: expect.any(Number),
      'urn:zitadel:iam:user:resourceowner:id': running.admin.organizationId,
      'urn:zitadel:iam:user:resourceowner:name': 'Keyturn',
    });
  });

  it('is introspected by a user in its audience, and by no other', async () => {
    const { call, grant, introspect } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const api = await addRobot(call, 'orders-api');
    const other = await addRobot(call, 'other');
    const token = await grant(robot, 'openid urn:zitadel:iam:org:project:id:orders-api:aud');
    expect((await introspect(token, api)).sub).toBe(robot.userId);
    expect(await introspect(token, other)).toEqual({ active: false });
    expect(await introspect(token, robot)).toMatchObject({ active: true });
  });

  it('ends when it is revoked, for good', async () => {
    const dataDir = temporaryFolder();
    const { running, call, grant, introspect, revoke, userinfo } = await tokenService({ dataDir });
    const robot = await addRobot(call, 'robot', profile);
    const [token, another] = [await grant(robot), await grant(robot)];
    const { status, body } = await revoke(token, robot);
    expect([status, body]).toEqual([200, undefined]);
    expect(await introspect(token, robot)).toEqual({ active: false });
    expect((await userinfo(token)).status).toBe(401);
    expect((await managementClient(running.url, token)('GET', '/users/1')).status).toBe(401);
    expect(await introspect(another, robot)).toMatchObject({ active: true });
    expect((await revoke(token, robot)).status).toBe(200);

    await running.service.close();
    const restarted = await runningService({ dataDir, externalUrl: running.service.issuer });
    const introspectAgain = async (one: string) =>
      (
        await answerOf(
          await fetch(`${restarted.url}/oauth/v2/introspect`, {
            method: 'POST',
            headers: { authorization: `Basic ${btoa(`robot:${robot.clientSecret}`)}` },
            body: new URLSearchParams({ token: one }),
          }),
        )
      ).body.active;
    expect(await introspectAgain(token)).toBe(false);
    expect(await introspectAgain(another)).toBe(true);
  });

  it('is revoked by its own user only', async () => {
    const { call, grant, introspect, revoke } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const other = await addRobot(call, 'other');
    const token = await grant(robot);
    const { status, body } = await revoke(token, other);
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(await introspect(token, robot)).toMatchObject({ active: true });
  });

  it.each(['Deactivate', 'Lock', 'Remove', 'EndTokens'] as const)(
    'ends at once with %s of its user, and stays ended',
    async (type) => {
      const { running, call, grant, introspect, userinfo, change } = await tokenService();
      const robot = await addRobot(call, 'robot', profile);
      const api = await addRobot(call, 'api');
      const scope = `${managementScope} urn:zitadel:iam:org:project:id:api:aud`;
      const token = await grant(robot, scope);
      expect(await introspect(token, api)).toMatchObject({ active: true });
      const asRobot = managementClient(running.url, token);
      expect((await asRobot('GET', '/users/1')).status).toBe(404);

      await change(robot, type);
      const isEnded = async () => {
        expect(await introspect(token, api)).toEqual({ active: false });
        expect((await userinfo(token)).status).toBe(401);
        expect((await asRobot('GET', '/users/1')).status).toBe(401);
      };
      await isEnded();
      if (type === 'Remove') return;
      if (type === 'Deactivate') await change(robot, 'Reactivate');
      if (type === 'Lock') await change(robot, 'Unlock');
      await isEnded();
      expect(await introspect(await grant(robot, scope), api)).toMatchObject({ active: true });
    },
  );

  it('is not alive while the organization of its user is inactive', async () => {
    const { running, call, grant, introspect, userinfo } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const added = await call('POST', '/orgs', { name: 'Elsewhere' });
    const elsewhere = managementClient(running.url, await adminToken(running));
    const inOrg: CallManagement = (method, path, body) =>
      elsewhere(method, path, body, { 'x-zitadel-orgid': added.body.id });
    const guest = await addRobot(inOrg, 'guest', profile);
    const token = await grant(guest, 'openid urn:zitadel:iam:org:project:id:robot:aud');
    for (const [change, isAlive] of [
      ['_deactivate', false],
      ['_reactivate', true],
    ] as const) {
      expect((await inOrg('POST', `/orgs/me/${change}`, {})).status).toBe(200);
      expect(await introspect(token, robot)).toMatchObject({ active: isAlive });
      expect((await userinfo(token)).status).toBe(isAlive ? 200 : 401);
    }
  });

  it('outlives a secret that is set or removed, unless the caller wants it to end', async () => {
    const { running, call, grant, introspect } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const api = await addRobot(call, 'api');
    const { machineUsers } = running.service;
    const user = { userId: robot.userId, organizationId: running.admin.organizationId };
    const scope = 'openid urn:zitadel:iam:org:project:id:api:aud';
    const isActive = async (token: string) => (await introspect(token, api)).active;

    const token = await grant(robot, scope);
    const second = await machineUsers.setSecret(user, context);
    expect(second.details.sequence).toBe(3n);
    expect(await isActive(token)).toBe(true);
    const third = await machineUsers.setSecret(user, context, { endTokens: true });
    expect(third.details.sequence).toBe(5n);
    expect(await isActive(token)).toBe(false);

    const fresh = await grant({ ...robot, clientSecret: third.clientSecret }, scope);
    expect(await isActive(fresh)).toBe(true);
    await machineUsers.removeSecret(user, context, { endTokens: true });
    expect(await isActive(fresh)).toBe(false);
  });

  it('ends with the secret over the API when a header says so', async () => {
    const { call, grant, introspect } = await tokenService();
    const robot = await addRobot(call, 'robot', profile);
    const api = await addRobot(call, 'api');
    const scope = 'openid urn:zitadel:iam:org:project:id:api:aud';
    const path = `/users/${robot.userId}/secret`;
    const token = await grant(robot, scope);
    const { body } = await call('PUT', path, {}, { 'x-keyturn-end-tokens': 'true' });
    expect(body.details.sequence).toBe('4');
    expect((await introspect(token, api)).active).toBe(false);
    const fresh = await grant({ ...robot, clientSecret: body.clientSecret }, scope);
    const wrong = await call('DELETE', path, undefined, { 'x-keyturn-end-tokens': 'maybe' });
    expect([wrong.status, wrong.body.message]).toEqual([
      400,
      expect.stringContaining('x-keyturn-end-tokens'),
    ]);
    await call('DELETE', path, undefined, { 'x-keyturn-end-tokens': 'true' });
    expect((await introspect(fresh, api)).active).toBe(false);
  });

  it('expires after the configured time', async () => {
    const clock = new TestClock();
    const { call, grant, introspect } = await tokenService({ clock: clock.read, accessTokenLifetime: 60 });
    const robot = await addRobot(call, 'robot', profile);
    const token = await grant(robot);
    clock.advance(59_000);
    expect((await introspect(token, robot)).active).toBe(true);
    clock.advance(1_000);
    expect(await introspect(token, robot)).toEqual({ active: false });
  });
});

describe('introspection and revocation', () => {
  it.each(['/oauth/v2/introspect', '/oauth/v2/revoke'])('%s answers errors as its RFC says', async (path) => {
    const { call, grant, post, running } = await tokenService();
    const robot = await addRobot(call);
    const token = await grant(robot);
    const refusal = async (...args: Parameters<typeof post>) => {
      const { status, body } = await post(...args);
      return [status, body?.error];
    };
    expect(await refusal(path, { token })).toEqual([401, 'invalid_client']);
    expect(await refusal(path, { token }, { ...robot, clientSecret: 'wrong' })).toEqual([
      401,
      'invalid_client',
    ]);
    expect(await refusal(path, {}, robot)).toEqual([400, 'invalid_request']);
    expect(await refusal(`${path}?token=${token}`, { token }, robot)).toEqual([400, 'invalid_request']);
    const { clientId: client_id, clientSecret: client_secret } = robot;
    expect(await refusal(path, { token, client_id, client_secret }, robot)).toEqual([400, 'invalid_request']);
    expect(await refusal(path, { token, client_id, client_secret })).toEqual([200, undefined]);
    expect((await fetch(running.url + path)).status).toBe(405);
  });

  it.each(['unknown', 'a.b.c', 'kta_AAAA', 'ключ'])('know nothing of the token %j', async (token) => {
    const { call, introspect, revoke } = await tokenService();
    const robot = await addRobot(call);
    expect(await introspect(token, robot)).toEqual({ active: false });
    expect((await revoke(token, robot)).status).toBe(200);
  });

  it('know no id token', async () => {
    const { running, call, introspect, revoke, userinfo } = await tokenService();
    const robot = await addRobot(call);
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret);
    expect(await introspect(body.id_token, robot)).toEqual({ active: false });
    expect((await userinfo(body.id_token)).status).toBe(401);
    const answer = await revoke(body.id_token, robot);
    expect([answer.status, answer.body.error]).toEqual([400, 'unsupported_token_type']);
  });

  it('pass over a wrong hint', async () => {
    const { call, grant, post, introspect } = await tokenService();
    const robot = await addRobot(call);
    const token = await grant(robot);
    const body = { token, token_type_hint: 'refresh_token' };
    expect((await post('/oauth/v2/introspect', body, robot)).body.active).toBe(true);
    expect((await post('/oauth/v2/revoke', body, robot)).status).toBe(200);
    expect(await introspect(token, robot)).toEqual({ active: false });
  });

  it('are never cached', async () => {
    const { call, post } = await tokenService();
    const robot = await addRobot(call);
    for (const path of ['/oauth/v2/introspect', '/oauth/v2/revoke']) {
      const { headers } = await post(path, { token: 'x' }, robot);
      expect([headers.get('cache-control'), headers.get('pragma')]).toEqual(['no-store', 'no-cache']);
    }
  });
});

describe('userinfo', () => {
  it('tells what the scopes ask for', async () => {
    const { running, call, grant, userinfo } = await tokenService();
    const robot = await addRobot(call);
    const { organizationId } = running.admin;
    expect((await userinfo(await grant(robot, 'openid'))).body).toEqual({ sub: robot.userId });
    const scope = `openid profile urn:zitadel:iam:org:id:${organizationId}`;
    expect((await userinfo(await grant(robot, scope))).body).toEqual({
      sub: robot.userId,
      name: 'Robot',
      preferred_username: 'robot',
      updated_at: expect.any(Number),
      'urn:zitadel:iam:org:id': organizationId,
      'urn:zitadel:iam:user:resourceowner:id': organizationId,
      'urn:zitadel:iam:user:resourceowner:name': 'Keyturn',
    });
  });

  it('is answered to GET and to POST', async () => {
    const { running, call, grant } = await tokenService();
    const authorization = `Bearer ${await grant(await addRobot(call))}`;
    for (const method of ['GET', 'POST']) {
      const response = await fetch(`${running.url}/oidc/v1/userinfo`, { method, headers: { authorization } });
      expect([method, response.status]).toEqual([method, 200]);
    }
  });

  it('challenges as RFC 6750 says', async () => {
    const { running, call, grant, userinfo } = await tokenService();
    const token = await grant(await addRobot(call), 'profile');
    const challenge = async (authorization?: string, query = '') => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await fetch(`${running.url}/oidc/v1/userinfo${query}`, { headers });
      return [response.status, response.headers.get('www-authenticate')];
    };
    expect(await challenge()).toEqual([401, 'Bearer realm="keyturn"']);
    expect(await challenge(undefined, `?access_token=${token}`)).toEqual([401, 'Bearer realm="keyturn"']);
    expect(await challenge('Bearer nonsense')).toEqual([
      401,
      expect.stringMatching(/^Bearer realm="keyturn", error="invalid_token", error_description="[^"]+"$/),
    ]);
    const { status, headers } = await userinfo(token);
    expect([status, headers.get('www-authenticate')]).toEqual([
      403,
      expect.stringContaining('error="insufficient_scope"'),
    ]);
  });
});

describe('an id token', () => {
  it.each(['ES256', 'RS256', 'EdDSA'] as const)(
    'is as OpenID Connect Core says, signed with %s, and ends later than it begins',
    async (signingAlgorithm) => {
      const { running, call } = await tokenService({ signingAlgorithm, idTokenLifetime: 120 });
      const robot = await addRobot(call, 'robot', jwt);
      const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret);
      const keys = createRemoteJWKSet(new URL(`${running.url}/oauth/v2/keys`));
      const { issuer } = running.service;
      const options = { issuer, audience: 'robot', algorithms: [signingAlgorithm], typ: 'JWT' };
      const { payload } = await jwtVerify(body.id_token, keys, options);
      const digest = createHash(signingAlgorithm === 'EdDSA' ? 'sha512' : 'sha256')
        .update(body.access_token)
        .digest();
      expect(payload).toEqual({
        iss: issuer,
        sub: robot.userId,
        aud: ['robot'],
        azp: 'robot',
        client_id: 'robot',
        iat: expect.any(Number),
        exp: (payload.iat ?? 0) + 120,
        auth_time: payload.iat,
        amr: ['pwd'],
        at_hash: digest.subarray(0, digest.length / 2).toString('base64url'),
        jti: expect.any(String),
      });
      await jwtVerify(body.access_token, keys, { issuer, algorithms: [signingAlgorithm], typ: 'at+jwt' });
    },
  );

  it('is given with the scope openid only', async () => {
    const { running, call } = await tokenService();
    const robot = await addRobot(call);
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret, 'profile');
    expect(body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 3600 });
  });
});

test('a JWT access token says of the organization what its scopes ask for', async () => {
  const { running, call, grant } = await tokenService();
  const token = await grant(
    await addRobot(call, 'robot', jwt),
    'openid profile urn:zitadel:iam:user:resourceowner',
  );
  const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  expect(payload['urn:zitadel:iam:user:resourceowner:id']).toBe(running.admin.organizationId);
  expect(payload.name).toBeUndefined();
});
