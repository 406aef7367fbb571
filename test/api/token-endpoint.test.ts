import { createRemoteJWKSet, jwtVerify } from 'jose';
import { describe, expect, it, test, vi } from 'vitest';
import { context } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  managementScope,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const jwtTokens = { accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' } as const;

async function withRobot(userName = 'robot', profile: Parameters<typeof addRobot>[2] = jwtTokens) {
  const running = await runningService();
  const call = managementClient(running.url, await adminToken(running));
  const robot = await addRobot(call, userName, profile);
  const post = async (
    body: string | Record<string, string> | [string, string][],
    headers: Record<string, string> = {},
    query = '',
  ) =>
    answerOf(
      await fetch(`${running.url}/oauth/v2/token${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: typeof body === 'string' ? body : String(new URLSearchParams(body)),
      }),
    );
  const basic = (id: string, secret: string) =>
    `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}`;
  const { organizationId } = running.admin;
  return { running, call, robot, post, basic, user: { userId: robot.userId, organizationId } };
}

const grant = { grant_type: 'client_credentials' };

describe('a grant', () => {
  it('is a JWT access token as RFC 9068 has it', async () => {
    const { running, robot } = await withRobot();
    const { url, service } = running;
    const { status, headers, body } = await requestToken(url, robot.clientId, robot.clientSecret);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('pragma')).toBe('no-cache');
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      id_token: expect.any(String),
    });

    const { payload, protectedHeader } = await jwtVerify(
      body.access_token,
      createRemoteJWKSet(new URL(`${url}/oauth/v2/keys`)),
      { issuer: service.issuer, typ: 'at+jwt', algorithms: ['ES256'] },
    );
    expect(protectedHeader.kid).toEqual(expect.any(String));
    expect(payload).toEqual({
      iss: service.issuer,
      sub: robot.userId,
      client_id: 'robot',
      aud: [expect.stringMatching(/^\d{18}$/)],
      scope: managementScope,
      iat: expect.any(Number),
      nbf: payload.iat,
      exp: (payload.iat ?? 0) + 3600,
      jti: expect.any(String),
      'urn:keyturn:token_epoch': 0,
    });
  });

  it('is given for HTTP Basic and for form post', async () => {
    const { robot, post, basic } = await withRobot();
    const { clientId: client_id, clientSecret: client_secret } = robot;
    expect((await post(grant, { authorization: basic(client_id, client_secret) })).status).toBe(200);
    expect((await post({ ...grant, client_id, client_secret })).status).toBe(200);
    expect(
      (await post({ ...grant, client_id }, { authorization: basic(client_id, client_secret) })).status,
    ).toBe(200);
  });

  it.each(['a:b', 'a%b', 'a+b c', 'rööbot', '"a"&b=c'])(
    'is given to the client id %j, form-url-encoded as RFC 6749 says',
    async (userName) => {
      const { robot, post, basic } = await withRobot(userName);
      expect(robot.clientId).toBe(userName);
      expect((await post(grant, { authorization: basic(userName, robot.clientSecret) })).status).toBe(200);
      expect((await requestToken((await withRobot(userName)).running.url, userName, 'wrong')).status).toBe(
        401,
      );
    },
  );

  it('has the scope openid when none was asked for, and says so', async () => {
    const { robot, post, basic } = await withRobot();
    const { body } = await post(grant, { authorization: basic(robot.clientId, robot.clientSecret) });
    expect(body.scope).toBe('openid');
  });

  it('drops scopes that it does not know, and says which are left', async () => {
    const { running, robot } = await withRobot();
    const scope = 'openid unheard urn:zitadel:iam:org:id:other profile';
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret, scope);
    expect(body.scope).toBe('openid profile');
  });

  it('is not changed by parameters that nobody knows, nor by empty ones', async () => {
    const { robot, post, basic } = await withRobot();
    const unheard = { ...grant, audience: 'https://api.example', client_id: '', client_assertion: '' };
    const answer = await post(unheard, { authorization: basic(robot.clientId, robot.clientSecret) });
    expect(answer.status).toBe(200);
  });

  it.each(['GET', 'PUT', 'PATCH', 'DELETE'])('is answered to POST, not to %s', async (method) => {
    const { running, robot } = await withRobot();
    const query = new URLSearchParams({ ...grant, client_id: robot.clientId });
    const response = await fetch(`${running.url}/oauth/v2/token?${query}`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('is logged with the client, its secret and where it came from, as a refusal is', async () => {
    const { running, robot, post, user } = await withRobot();
    const client = { ...grant, client_id: robot.clientId };
    await post({ ...client, client_secret: robot.clientSecret });
    await post({ ...client, client_secret: 'wrong' });
    const request = { path: '/oauth/v2/token', remoteAddress: '127.0.0.1', msg: 'request' };
    await vi.waitFor(() => {
      const lines = running.log().trimEnd().split('\n');
      const logged = lines.map((line) => JSON.parse(line)).slice(-3);
      expect(logged).toMatchObject([
        { ...request, ...user, status: 200, secretId: robot.clientSecret.slice(4, 20) },
        { msg: 'client authentication refused', reqId: logged[2].reqId },
        { ...request, status: 401 },
      ]);
    });
  });

  it('is for the client itself without an audience scope', async () => {
    const { running, robot } = await withRobot();
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret, 'openid');
    const claims = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
    expect(claims.aud).toEqual(['robot']);
  });

  it('is for the resources that it is asked for (RFC 8707), beside those of audience scopes', async () => {
    const { running, robot, post } = await withRobot();
    const api = 'https://api.example/v1?tenant=7';
    const asked = async (parameters: [string, string][]) => {
      const { clientId: client_id, clientSecret: client_secret } = robot;
      const { status, body } = await post([
        ...Object.entries({ ...grant, client_id, client_secret, scope: 'openid' }),
        ...parameters,
      ]);
      expect(status).toBe(200);
      const keys = createRemoteJWKSet(new URL(`${running.url}/oauth/v2/keys`));
      return (await jwtVerify(body.access_token, keys)).payload.aud;
    };
    expect(await asked([['resource', api]])).toEqual([api]);
    const several = [api, 'urn:example:vault', api, ''].map((uri) => ['resource', uri] as [string, string]);
    const project = 'urn:zitadel:iam:org:project:id:p7:aud';
    expect(await asked(several)).toEqual([api, 'urn:example:vault']);
    const { body } = await post({
      ...{ ...grant, client_id: robot.clientId, client_secret: robot.clientSecret },
      ...{ scope: project, resource: api },
    });
    const claims = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
    expect(claims.aud).toEqual(['p7', api]);
  });
});

describe('a refusal', () => {
  const invalidClient = { error: 'invalid_client', error_description: 'client authentication failed' };

  it('is one and the same for every reason', async () => {
    const { running, call, robot, post, basic, user } = await withRobot();
    const other = await addRobot(call, 'other');
    const inactive = await addRobot(call, 'inactive');
    await running.service.machineUsers.deactivate({ ...user, userId: inactive.userId }, context);
    const removed = await addRobot(call, 'removed');
    await call('DELETE', `/users/${removed.userId}/secret`);
    const { clientSecret: replaced } = robot;
    await call('PUT', `/users/${robot.userId}/secret`, {});

    const attempts: Record<string, [string, string]> = {
      'unknown client': ['nobody', robot.clientSecret],
      'wrong secret': ['robot', 'wrong'],
      'secret of another': ['robot', other.clientSecret],
      'replaced secret': ['robot', replaced],
      'removed secret': ['removed', removed.clientSecret],
      'inactive user': ['inactive', inactive.clientSecret],
      'the user id for a client id': [other.userId, other.clientSecret],
    };
    for (const [reason, [id, secret]] of Object.entries(attempts)) {
      for (const answer of [
        await post({ ...grant, client_id: id, client_secret: secret }),
        await post(grant, { authorization: basic(id, secret) }),
      ]) {
        expect([reason, answer.status, answer.body]).toEqual([reason, 401, invalidClient]);
        expect(answer.headers.get('www-authenticate')).toBe('Basic realm="keyturn", charset="UTF-8"');
        expect(answer.headers.get('cache-control')).toBe('no-store');
      }
    }
  });

  const credentials = { client_id: 'robot', client_secret: 'x' };
  it.each<[string, number, string, string | Record<string, string>, Record<string, string>?, string?]>([
    ['no body', 400, 'invalid_request', ''],
    ['no grant type', 400, 'invalid_request', credentials],
    ['an empty grant type', 400, 'invalid_request', { grant_type: '', ...credentials }],
    ['another grant type', 400, 'unsupported_grant_type', { grant_type: 'password', ...credentials }],
    ['no credentials', 401, 'invalid_client', grant],
    ['no secret', 401, 'invalid_client', { ...grant, client_id: 'robot' }],
    ['an empty secret', 401, 'invalid_client', { ...grant, client_id: 'robot', client_secret: '' }],
    ['another scheme', 401, 'invalid_client', grant, { authorization: 'Bearer x' }],
    ['Basic without a colon', 401, 'invalid_client', grant, { authorization: `Basic ${btoa('robot')}` }],
    ['undecodable Basic', 401, 'invalid_client', grant, { authorization: `Basic ${btoa('robot:%zz')}` }],
    [
      'two methods',
      400,
      'invalid_request',
      { ...grant, ...credentials },
      { authorization: `Basic ${btoa('robot:x')}` },
    ],
    [
      'two clients',
      400,
      'invalid_request',
      { ...grant, client_id: 'a' },
      { authorization: `Basic ${btoa('robot:x')}` },
    ],
    ['a repeated parameter', 400, 'invalid_request', 'grant_type=client_credentials&scope=a&scope=b'],
    ['a repeated empty one', 400, 'invalid_request', 'grant_type=client_credentials&scope=&scope='],
    ['a form like a query', 400, 'invalid_request', '?grant_type=client_credentials'],
    ['credentials in the URL', 400, 'invalid_request', { ...grant, ...credentials }, {}, '?client_secret=x'],
    ['JSON', 400, 'invalid_request', grant, { 'content-type': 'application/json' }],
    ['a body without a type', 400, 'invalid_request', grant, { 'content-type': '' }],
  ])('of %s is %i %s', async (_, status, error, body, headers, query) => {
    const { post } = await withRobot();
    const answer = await post(body, headers, query);
    expect([answer.status, answer.body.error]).toEqual([status, error]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it.each(['a\nb', 'a "b"', ' openid', 'unheard', 'ä'])('of the scope %j is invalid_scope', async (scope) => {
    const { running, robot } = await withRobot();
    const { status, body } = await requestToken(running.url, robot.clientId, robot.clientSecret, scope);
    expect([status, body.error]).toEqual([400, 'invalid_scope']);
  });

  it.each([
    ['a relative one', ['/v1']],
    ['no URI', ['the API']],
    ['a fragment', ['https://api.example/#v1']],
    ['a control character', ['https://api.example/\n']],
    ['a quote', ['https://api.example/"']],
    ['nothing after the scheme', ['https:']],
    ['a right one and a wrong one', ['https://api.example', 'api']],
    ['too many', Array.from({ length: 11 }, (_, index) => `https://api.example/${index}`)],
  ])('of a resource that is %s is invalid_target', async (_, resources) => {
    const { robot, post } = await withRobot();
    const { clientId: client_id, clientSecret: client_secret } = robot;
    const { status, body } = await post([
      ...Object.entries({ ...grant, client_id, client_secret }),
      ...resources.map((resource) => ['resource', resource] as [string, string]),
    ]);
    expect([status, body.error]).toEqual([400, 'invalid_target']);
    expect(body.access_token).toBeUndefined();
  });

  it('of a body that is too large names no value of it', async () => {
    const { post } = await withRobot();
    const { status, body } = await post({ ...grant, client_id: 'robot', client_secret: 'x'.repeat(70_000) });
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(JSON.stringify(body)).not.toContain('xx');
  });
});

test('the metadata names only what is there', async () => {
  const { url, service } = await runningService();
  const documents = await Promise.all(
    ['openid-configuration', 'oauth-authorization-server'].map(async (name) =>
      (await fetch(`${url}/.well-known/${name}`)).json(),
    ),
  );
  expect(documents[0]).toEqual(documents[1]);
  const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];
  const algorithms = expect.arrayContaining(['ES256', 'RS256', 'EdDSA']);
  expect(documents[0]).toEqual({
    issuer: service.issuer,
    token_endpoint: `${service.issuer}/oauth/v2/token`,
    introspection_endpoint: `${service.issuer}/oauth/v2/introspect`,
    revocation_endpoint: `${service.issuer}/oauth/v2/revoke`,
    userinfo_endpoint: `${service.issuer}/oidc/v1/userinfo`,
    jwks_uri: `${service.issuer}/oauth/v2/keys`,
    grant_types_supported: ['client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
    scopes_supported: expect.arrayContaining(['openid', 'profile']),
    claims_supported: expect.arrayContaining(['sub', 'preferred_username']),
  });
});

test('the key set holds the public part of the signing key only', async () => {
  const { url } = await runningService();
  const { keys } = (await (await fetch(`${url}/oauth/v2/keys`)).json()) as { keys: object[] };
  expect(keys).toEqual([
    {
      kty: 'EC',
      crv: 'P-256',
      x: expect.any(String),
      y: expect.any(String),
      kid: expect.any(String),
      alg: 'ES256',
      use: 'sig',
    },
  ]);
});
