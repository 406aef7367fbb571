import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { generateKeyPair } from 'jose';
import { describe, expect, it } from 'vitest';
import { context } from '../support/application.ts';
import { type AssertionOverrides, addMachineKey, signAssertion } from '../support/machine-key.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  managementScope,
  runningService,
} from '../support/running-service.ts';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

async function withKey(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const call = managementClient(running.url, await adminToken(running));
  const robot = await addRobot(call);
  const keyFile = await addMachineKey(call, robot.userId);
  const { issuer } = running.service;
  const post = async (body: Record<string, string>, headers: Record<string, string> = {}) =>
    answerOf(
      await fetch(`${running.url}/oauth/v2/token`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ scope: managementScope, ...body }),
      }),
    );
  const authenticate = (assertion: string, more: Record<string, string> = {}) =>
    post({
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: assertion,
      ...more,
    });
  return {
    running,
    call,
    robot,
    keyFile,
    post,
    authenticate,
    exchange: (assertion: string, more: Record<string, string> = {}) =>
      post({ grant_type: jwtBearer, assertion, ...more }),
    sign: (overrides?: AssertionOverrides) => signAssertion(keyFile, issuer, overrides),
  };
}

const { publicKey: largeExponent } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicExponent: 0x1_00_0f,
});
const pem = (key: KeyObject) => Buffer.from(key.export({ type: 'spki', format: 'pem' })).toString('base64');

describe('machine keys', () => {
  it('are made, shown once, listed, got and removed', async () => {
    const { call, robot, keyFile, running } = await withKey();
    expect(keyFile).toEqual({
      type: 'serviceaccount',
      keyId: expect.stringMatching(/^\d{18}$/),
      key: expect.stringMatching(/^-----BEGIN RSA PRIVATE KEY-----\n/),
      expirationDate: '9999-12-31T23:59:59.000Z',
      userId: robot.userId,
    });
    const path = `/users/${robot.userId}/keys`;
    const key = {
      id: keyFile.keyId,
      details: {
        sequence: '3',
        creationDate: expect.any(String),
        changeDate: expect.any(String),
        resourceOwner: running.admin.organizationId,
      },
      type: 'KEY_TYPE_JSON',
      expirationDate: '9999-12-31T23:59:59Z',
    };
    expect((await call('GET', `${path}/${keyFile.keyId}`)).body).toEqual({ key });
    const { body } = await call('POST', `${path}/_search`, {});
    expect(body).toEqual({
      details: {
        totalResult: '1',
        processedSequence: expect.stringMatching(/^\d+$/),
        viewTimestamp: expect.any(String),
      },
      result: [key],
    });
    const removed = await call('DELETE', `${path}/${keyFile.keyId}`);
    expect([removed.status, removed.body.details.sequence]).toEqual([200, '4']);
    expect((await call('POST', `${path}/_search`, {})).body.result).toBeUndefined();
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await call(method, `${path}/${keyFile.keyId}`);
      expect([status, body.details[0].id]).toEqual([404, 'COMMAND-4m77G']);
    }
  });

  it('are listed page by page, newest first unless asked otherwise', async () => {
    const { call, robot, keyFile } = await withKey();
    const second = await addMachineKey(call, robot.userId);
    const list = async (query: object) => {
      const { body } = await call('POST', `/users/${robot.userId}/keys/_search`, { query });
      expect(body.details.totalResult).toBe('2');
      return body.result.map(({ id }: { id: string }) => id);
    };
    expect(await list({})).toEqual([second.keyId, keyFile.keyId]);
    expect(await list({ asc: true })).toEqual([keyFile.keyId, second.keyId]);
    expect(await list({ limit: 1 })).toEqual([second.keyId]);
    expect(await list({ limit: 1, offset: '1' })).toEqual([keyFile.keyId]);
    const { status, body } = await call('POST', `/users/${robot.userId}/keys/_search`, {
      query: { limit: 1001 },
    });
    expect([status, body.message]).toEqual([400, expect.stringContaining('1000')]);
  });

  it.each([
    ['rsa', 'RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['rsa', 'PS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ec', 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['ed25519', 'EdDSA', generateKeyPairSync('ed25519')],
  ])('can be public keys of the caller: %s with %s', async (_, algorithm, { publicKey, privateKey }) => {
    const { call, robot, keyFile, authenticate, running } = await withKey();
    const { body } = await call('POST', `/users/${robot.userId}/keys`, {
      type: 1,
      publicKey: pem(publicKey),
    });
    expect(body).toEqual({ keyId: expect.any(String), details: expect.any(Object) });
    const assertion = await signAssertion({ ...keyFile, keyId: body.keyId }, running.service.issuer, {
      algorithm,
      key: privateKey.toCryptoKey(
        algorithm === 'EdDSA'
          ? 'Ed25519'
          : algorithm === 'ES256'
            ? { name: 'ECDSA', namedCurve: 'P-256' }
            : { name: algorithm === 'PS256' ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
        false,
        ['sign'],
      ),
    });
    expect((await authenticate(assertion)).status).toBe(200);
  });

  it.each<[string, object, string]>([
    ['no type', {}, 'value must not be in list [0]'],
    ['an unknown type', { type: 7 }, 'defined enum'],
    ['a date that is past', { type: 1, expirationDate: '2020-01-01T00:00:00Z' }, 'ExpireBeforeNow'],
    ['no key at all', { type: 1, publicKey: btoa('nonsense') }, 'not a public key in PEM'],
    [
      'a private key',
      {
        type: 1,
        publicKey: Buffer.from(
          generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
        ).toString('base64'),
      },
      'private key',
    ],
    [
      'a weak RSA key',
      { type: 1, publicKey: pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey) },
      '2048',
    ],
    ['an RSA key that is slow to verify with', { type: 1, publicKey: pem(largeExponent) }, '65537'],
    [
      'a curve that JWS does not know',
      { type: 1, publicKey: pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey) },
      'P-256',
    ],
    ['a key for agreement', { type: 1, publicKey: pem(generateKeyPairSync('x25519').publicKey) }, 'Ed25519'],
  ])('are refused with %s', async (_, fields, text) => {
    const { call, robot } = await withKey();
    const { status, body } = await call('POST', `/users/${robot.userId}/keys`, fields);
    expect([status, body.message]).toEqual([400, expect.stringContaining(text)]);
  });

  it('of a user of another organization look like those of none', async () => {
    const { call } = await withKey();
    for (const [method, path] of [
      ['POST', '/users/nobody/keys/_search'],
      ['GET', '/users/nobody/keys/1'],
      ['DELETE', '/users/nobody/keys/1'],
    ] as const) {
      const { status, body } = await call(method, path, method === 'POST' ? {} : undefined);
      expect([method, status, body.details[0].id]).toEqual([method, 404, 'QUERY-Dfbg2']);
    }
  });
});

describe('an assertion', () => {
  it('authenticates a client, by its user id and by its user name', async () => {
    const { sign, authenticate, robot, keyFile } = await withKey();
    expect((await authenticate(await sign())).status).toBe(200);
    const byName = { claims: { iss: 'robot', sub: 'robot' } };
    const { status, body } = await authenticate(await sign(byName), { client_id: robot.clientId });
    expect([status, body.token_type]).toEqual([200, 'Bearer']);
    const idToken = JSON.parse(Buffer.from(body.id_token.split('.')[1], 'base64url').toString());
    expect([idToken.sub, idToken.amr]).toEqual([keyFile.userId, ['pop']]);
  });

  it('authenticates at introspection and revocation', async () => {
    const { sign, authenticate, running } = await withKey();
    const { body } = await authenticate(await sign());
    for (const path of ['introspect', 'revoke']) {
      const response = await fetch(`${running.url}/oauth/v2/${path}`, {
        method: 'POST',
        body: new URLSearchParams({
          token: body.access_token,
          client_assertion_type: assertionType,
          client_assertion: await sign(),
        }),
      });
      expect([path, response.status]).toEqual([path, 200]);
    }
  });

  it('is exchanged for a token, as ZITADEL’s clients do it: for an hour, without jti', async () => {
    const { sign, exchange, running } = await withKey();
    const now = Math.floor(Date.now() / 1000);
    const assertion = await sign({ claims: { jti: undefined, exp: now + 3600 } });
    const { status, body } = await exchange(assertion);
    expect([status, Object.keys(body).toSorted()]).toEqual([
      200,
      ['access_token', 'expires_in', 'id_token', 'token_type'],
    ]);
    const asRobot = managementClient(running.url, body.access_token);
    expect((await asRobot('GET', '/users/1')).body.message).toContain('membership not found');
  });

  it('counts once, whatever it is used for, also when it is sent many times at once', async () => {
    const { sign, authenticate, exchange } = await withKey();
    const assertion = await sign();
    const answers = await Promise.all(Array.from({ length: 10 }, () => authenticate(assertion)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(9).fill(401)]);
    expect((await exchange(assertion)).body.error).toBe('invalid_grant');
  });

  it('does not use up the jti of another user', async () => {
    const { running, call, sign, authenticate } = await withKey();
    const other = await addRobot(call, 'welder');
    const keyFile = await addMachineKey(call, other.userId);
    const claims = { jti: 'one' };
    const assertions = [
      await sign({ claims }),
      await signAssertion(keyFile, running.service.issuer, { claims }),
    ];
    for (const assertion of assertions) expect((await authenticate(assertion)).status).toBe(200);
  });

  it('counts once, also after a restart', async () => {
    const { running, sign, authenticate } = await withKey();
    const { issuer } = running.service;
    const assertion = await sign();
    expect((await authenticate(assertion)).status).toBe(200);
    await running.service.close();
    const restarted = await runningService({ dataDir: running.dataDir, externalUrl: issuer });
    const send = async (client_assertion: string) =>
      answerOf(
        await fetch(`${restarted.url}/oauth/v2/token`, {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_assertion_type: assertionType,
            client_assertion,
          }),
        }),
      );
    expect((await send(assertion)).status).toBe(401);
    expect((await send(await sign())).status).toBe(200);
  });

  const seconds = () => Math.floor(Date.now() / 1000);
  it.each<[string, (issuer: string) => AssertionOverrides | Promise<AssertionOverrides>]>([
    ['an unknown key', () => ({ header: { kid: '1' } })],
    ['no key id', () => ({ header: { kid: undefined } })],
    ['another key’s signature', async () => ({ key: (await generateKeyPair('RS256')).privateKey })],
    [
      'an algorithm of another type of key',
      async () => ({ algorithm: 'ES256', key: (await generateKeyPair('ES256')).privateKey }),
    ],
    ['a symmetric algorithm', () => ({ algorithm: 'HS256', key: new Uint8Array(32) })],
    ['a type for another purpose', () => ({ header: { typ: 'at+jwt' } })],
    ['another issuer', () => ({ claims: { iss: 'another' } })],
    ['another subject', () => ({ claims: { sub: 'another' } })],
    ['both of another', () => ({ claims: { iss: 'admin', sub: 'admin' } })],
    ['no audience', () => ({ claims: { aud: undefined } })],
    ['another audience', () => ({ claims: { aud: 'https://another.example' } })],
    ['a second audience', (issuer) => ({ claims: { aud: ['https://another.example', issuer] } })],
    ['no expiry', () => ({ claims: { exp: undefined } })],
    ['an expiry that is past', () => ({ claims: { exp: seconds() - 60 } })],
    ['an expiry that is far', () => ({ claims: { exp: seconds() + 4000 } })],
    ['a begin that is to come', () => ({ claims: { nbf: seconds() + 100 } })],
    ['an issue that is to come', () => ({ claims: { iat: seconds() + 100 } })],
  ])('is refused with %s', async (_, makeOverrides) => {
    const { sign, authenticate, exchange, running } = await withKey();
    const overrides = await makeOverrides(running.service.issuer);
    const assertion = () => sign(overrides);
    const client = await authenticate(await assertion());
    expect([client.status, client.body.error]).toEqual([401, 'invalid_client']);
    const grant = await exchange(await assertion());
    expect([grant.status, grant.body.error]).toEqual([400, 'invalid_grant']);
  });

  it.each([{ a: 1 }, {}, [], 1, true, null])(
    'is refused wherever a client authenticates, with the key id %j',
    async (kid) => {
      const { running } = await withKey();
      const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const assertion = `${base64url({ alg: 'ES256', kid })}.${base64url({ iss: '1', sub: '1' })}.AA`;
      const authentication = { client_assertion_type: assertionType, client_assertion: assertion };
      const post = async (path: string, body: Record<string, string>) =>
        answerOf(
          await fetch(`${running.url}/oauth/v2/${path}`, { method: 'POST', body: new URLSearchParams(body) }),
        );
      for (const [path, parameters] of [
        ['token', { grant_type: 'client_credentials' }],
        ['introspect', { token: 'x' }],
        ['revoke', { token: 'x' }],
      ] as const) {
        const { status, body } = await post(path, { ...parameters, ...authentication });
        expect([path, status, body.error]).toEqual([path, 401, 'invalid_client']);
      }
      const grant = await post('token', { grant_type: jwtBearer, assertion });
      expect([grant.status, grant.body.error]).toEqual([400, 'invalid_grant']);
    },
  );

  it('needs a jti, and a short life, to authenticate a client', async () => {
    const { sign, authenticate } = await withKey();
    for (const claims of [{ jti: undefined }, { exp: seconds() + 400 }]) {
      const { status, body } = await authenticate(await sign({ claims }));
      expect([status, body.error]).toEqual([401, 'invalid_client']);
    }
  });

  it('is refused when its key was removed or has expired, or its user may not sign in', async () => {
    const { call, robot, sign, authenticate, keyFile, running } = await withKey();
    const soon = new Date(Date.now() + 1500).toISOString();
    const shortLived = await addMachineKey(call, robot.userId, { expirationDate: soon });
    const signShort = () => signAssertion(shortLived, running.service.issuer);
    expect((await authenticate(await signShort())).status).toBe(200);
    const user = { userId: robot.userId, organizationId: running.admin.organizationId };
    await running.service.machineUsers.deactivate(user, context);
    expect((await authenticate(await sign())).status).toBe(401);
    await running.service.machineUsers.reactivate(user, context);
    expect((await authenticate(await sign())).status).toBe(200);
    await call('DELETE', `/users/${robot.userId}/keys/${keyFile.keyId}`);
    expect((await authenticate(await sign())).status).toBe(401);
    while (Date.now() <= Date.parse(soon)) await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await authenticate(await signShort())).status).toBe(401);
  });

  it.each<[string, number, string, Record<string, string>, Record<string, string>?]>([
    ['without its type', 400, 'invalid_request', { client_assertion_type: '' }],
    ['of another type', 400, 'invalid_request', { client_assertion_type: 'urn:other' }],
    ['beside a secret', 400, 'invalid_request', { client_secret: 'x' }],
    ['beside Basic', 400, 'invalid_request', {}, { authorization: `Basic ${btoa('robot:x')}` }],
    ['of another client', 401, 'invalid_client', { client_id: 'admin' }],
  ])('%s is %i %s', async (_, status, error, more, headers) => {
    const { sign, post } = await withKey();
    const answer = await post(
      {
        grant_type: 'client_credentials',
        client_assertion_type: assertionType,
        client_assertion: await sign(),
        ...more,
      },
      headers,
    );
    expect([answer.status, answer.body.error]).toEqual([status, error]);
  });

  it('is missing from a JWT profile grant: invalid_request', async () => {
    const { post } = await withKey();
    const { status, body } = await post({ grant_type: jwtBearer });
    expect([status, body.error]).toEqual([400, 'invalid_request']);
  });

  it('in a JWT profile grant must be of the client that authenticates, if one does', async () => {
    const { sign, exchange, robot, running } = await withKey();
    const { clientId: client_id, clientSecret: client_secret } = robot;
    expect((await exchange(await sign(), { client_id, client_secret })).status).toBe(200);
    const wrong = await exchange(await sign(), { client_id, client_secret: 'wrong' });
    expect([wrong.status, wrong.body.error]).toEqual([401, 'invalid_client']);
    const { clientId, clientSecret } = running.admin;
    const other = await exchange(await sign(), { client_id: clientId, client_secret: clientSecret });
    expect([other.status, other.body.error]).toEqual([400, 'invalid_grant']);
  });
});
