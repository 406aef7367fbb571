import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import * as oauth from 'oauth4webapi';
import { describe, expect, it } from 'vitest';
import { TestClock } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  managementScope,
  runningService,
} from '../support/running-service.ts';

const insecure = { [oauth.allowInsecureRequests]: true };
const jwt = { accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' } as const;

interface ProofOverrides {
  readonly header?: Readonly<Record<string, unknown>>;
  /** Undefined leaves a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

async function withKey(options: Parameters<typeof runningService>[0] = {}, profile = {}) {
  const running = await runningService(options);
  const call = managementClient(running.url, await adminToken(running));
  const robot = await addRobot(call, 'robot', profile);
  const keyPair = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(keyPair.publicKey);
  const { issuer } = running.service;
  const tokenUrl = `${issuer}/oauth/v2/token`;

  const sign = async (
    right: JWTPayload,
    { header = {}, claims = {}, key = keyPair.privateKey }: ProofOverrides,
  ) => {
    const iat = Math.floor((options.clock?.() ?? new Date()).getTime() / 1000);
    const payload = Object.fromEntries(
      Object.entries({ jti: randomUUID(), iat, ...right, ...claims }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
      .sign(key);
  };
  const send = async (proof: string, secret = robot.clientSecret) =>
    answerOf(
      await fetch(`${running.url}/oauth/v2/token`, {
        method: 'POST',
        headers: { dpop: proof },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: robot.clientId,
          client_secret: secret,
          scope: managementScope,
        }),
      }),
    );
  const freshNonce = async () =>
    (await send(await sign({ htm: 'POST', htu: tokenUrl }, {}))).headers.get('dpop-nonce') ?? '';
  const proofForToken = async (overrides: ProofOverrides = {}) =>
    sign({ htm: 'POST', htu: tokenUrl, nonce: await freshNonce() }, overrides);
  const boundToken = async (): Promise<string> => (await send(await proofForToken())).body.access_token;
  const request = async (
    method: string,
    path: string,
    token: string,
    overrides: ProofOverrides = {},
    scheme = 'DPoP',
  ) => {
    const ath = createHash('sha256').update(token).digest('base64url');
    const right = { htm: method, htu: issuer + path, ath, nonce: await freshNonce() };
    const dpop = await sign(right, overrides);
    return fetch(running.url + path, { method, headers: { authorization: `${scheme} ${token}`, dpop } });
  };
  const ask = async (path: string, token: string, overrides: ProofOverrides = {}, scheme = 'DPoP') =>
    answerOf(await request('GET', path, token, overrides, scheme));
  return {
    ...{ running, call, robot, keyPair, jwk, issuer, send },
    ...{ proofForToken, boundToken, request, ask, freshNonce },
  };
}

describe.each([
  ['opaque', {}],
  ['JWT', jwt],
])('a bound token, %s,', (_, profile) => {
  it('is given to the holder of a key, and says which', async () => {
    const { send, proofForToken, jwk, robot, running } = await withKey({}, profile);
    const { status, body } = await send(await proofForToken());
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    const jkt = await calculateJwkThumbprint(jwk);
    const introspected = await answerOf(
      await fetch(`${running.url}/oauth/v2/introspect`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`robot:${robot.clientSecret}`)}` },
        body: new URLSearchParams({ token: body.access_token }),
      }),
    );
    expect(introspected.body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } });
    if (profile !== jwt) return;
    const payload = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
    expect(payload.cnf).toEqual({ jkt });
  });

  it('works with a proof of that key, at userinfo and at the management API', async () => {
    const { ask, boundToken, robot } = await withKey({}, profile);
    const token = await boundToken();
    expect((await ask('/oidc/v1/userinfo', token)).body.sub).toBe(robot.userId);
    const answer = await ask('/management/v1/users/1', token);
    expect([answer.status, answer.body.message]).toEqual([404, expect.stringContaining('membership')]);
  });

  it('opens an event stream, by itself or by a ticket, that outlives the proof', async () => {
    const { running, request, boundToken, robot } = await withKey({}, profile);
    await running.addInstanceMember(robot.userId, 'IAM_OWNER_VIEWER');
    const token = await boundToken();
    const asked = await request('POST', '/keyturn/v1/events/tickets', token);
    const { ticket } = (await asked.json()) as { ticket: string };
    const streams = [
      await request('GET', '/keyturn/v1/events', token),
      await fetch(`${running.url}/keyturn/v1/events?ticket=${ticket}`),
    ];
    // After each of these events the reader's rights are looked at again.
    for (const user of ['one', 'two']) await running.addInstanceMember(user, 'IAM_OWNER');
    for (const { status, body } of streams) {
      expect(status).toBe(200);
      const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('"userId":"two"')) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) throw new Error(`the stream ended after ${text}`);
        text += value;
      }
      await reader?.cancel();
    }
    expect((await fetch(`${running.url}/keyturn/v1/events?ticket=${token}`)).status).toBe(401);
  });

  it('does not work without', async () => {
    const { ask, boundToken, running } = await withKey({}, profile);
    const token = await boundToken();
    const other = await generateKeyPair('ES256', { extractable: true });
    const otherKey = { key: other.privateKey, header: { jwk: await exportJWK(other.publicKey) } };
    for (const path of ['/oidc/v1/userinfo', '/management/v1/users/1']) {
      expect((await ask(path, token, otherKey)).status).toBe(401);
      for (const scheme of ['DPoP', 'Bearer']) {
        const headers = { authorization: `${scheme} ${token}` };
        expect([scheme, (await fetch(running.url + path, { headers })).status]).toEqual([scheme, 401]);
      }
      expect((await ask(path, token, {}, 'Bearer')).status).toBe(401);
    }
  });
});

describe('a proof at a protected resource', () => {
  it.each<[string, string, ProofOverrides]>([
    ['for another method', 'invalid_dpop_proof', { claims: { htm: 'POST' } }],
    ['for another URL', 'invalid_dpop_proof', { claims: { htu: 'https://another.example/' } }],
    ['for another token', 'invalid_dpop_proof', { claims: { ath: 'x' } }],
    ['for no token', 'invalid_dpop_proof', { claims: { ath: undefined } }],
    ['without nonce', 'use_dpop_nonce', { claims: { nonce: undefined } }],
  ])('%s is refused with %s', async (_, error, overrides) => {
    const { ask, boundToken } = await withKey();
    const token = await boundToken();
    for (const path of ['/oidc/v1/userinfo', '/management/v1/users/1']) {
      const { status, headers } = await ask(path, token, overrides);
      expect([status, headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringMatching(new RegExp(`^DPoP .*error="${error}"`)),
      ]);
      expect(headers.get('dpop-nonce')).toEqual(expect.any(String));
    }
  });

  it('is refused with a token that is bound to no key', async () => {
    const { ask, running } = await withKey();
    const token = await adminToken(running);
    for (const path of ['/oidc/v1/userinfo', '/management/v1/users/1']) {
      expect((await ask(path, token)).status).toBe(401);
    }
  });
});

describe('a proof at the token endpoint', () => {
  const otherKey = async () => (await generateKeyPair('ES256')).privateKey;
  const seconds = () => Math.floor(Date.now() / 1000);
  it.each<[string, string, () => ProofOverrides | Promise<ProofOverrides>]>([
    ['of another type', 'invalid_dpop_proof', () => ({ header: { typ: 'JWT' } })],
    ['without a key', 'invalid_dpop_proof', () => ({ header: { jwk: undefined } })],
    ['signed by another key', 'invalid_dpop_proof', async () => ({ key: await otherKey() })],
    [
      'signed with a symmetric key',
      'invalid_dpop_proof',
      () => ({ header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, key: new Uint8Array(32) }),
    ],
    [
      'with a private key in it',
      'invalid_dpop_proof',
      async () => {
        const { privateKey } = await generateKeyPair('ES256', { extractable: true });
        return { header: { jwk: await exportJWK(privateKey) }, key: privateKey };
      },
    ],
    [
      'with a key that is none',
      'invalid_dpop_proof',
      () => ({ header: { jwk: { kty: 'EC', crv: 'P-256' } } }),
    ],
    ['for another method', 'invalid_dpop_proof', () => ({ claims: { htm: 'GET' } })],
    [
      'for another URL',
      'invalid_dpop_proof',
      () => ({ claims: { htu: 'https://another.example/oauth/v2/token' } }),
    ],
    ['for no URL', 'invalid_dpop_proof', () => ({ claims: { htu: 7 } })],
    ['without jti', 'invalid_dpop_proof', () => ({ claims: { jti: undefined } })],
    ['with an endless jti', 'invalid_dpop_proof', () => ({ claims: { jti: 'x'.repeat(300) } })],
    ['without iat', 'invalid_dpop_proof', () => ({ claims: { iat: undefined } })],
    ['of the past', 'invalid_dpop_proof', () => ({ claims: { iat: seconds() - 1000 } })],
    ['of the future', 'invalid_dpop_proof', () => ({ claims: { iat: seconds() + 1000 } })],
    ['without nonce', 'use_dpop_nonce', () => ({ claims: { nonce: undefined } })],
    ['with a nonce of its own', 'use_dpop_nonce', () => ({ claims: { nonce: `1.${'A'.repeat(43)}` } })],
  ])('%s is refused with %s', async (_, error, makeOverrides) => {
    const { send, proofForToken } = await withKey();
    const { status, body, headers } = await send(await proofForToken(await makeOverrides()));
    expect([status, body.error]).toEqual([400, error]);
    expect(headers.get('dpop-nonce')).toEqual(expect.any(String));
  });

  it.each([
    ['a large exponent', 2048, 0x1_00_0f],
    ['a large modulus', 4104, undefined],
  ])('with an RSA key with %s is refused, and with another is not', async (_, modulusLength, exponent) => {
    const { send, proofForToken } = await withKey();
    const proofWith = async (bits: number, publicExponent = 0x1_00_01) => {
      const pair = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent });
      const key = pair.privateKey.toCryptoKey({ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, [
        'sign',
      ]);
      return proofForToken({ key, header: { alg: 'RS256', jwk: await exportJWK(pair.publicKey) } });
    };
    const { status, body } = await send(await proofWith(modulusLength, exponent));
    expect([status, body.error, body.error_description]).toEqual([
      400,
      'invalid_dpop_proof',
      expect.stringContaining('65537 and up to 4096 bits'),
    ]);
    expect((await send(await proofWith(2048))).status).toBe(200);
  });

  it('is not used up by a client that is not authenticated', async () => {
    const { send, proofForToken } = await withKey();
    const proof = await proofForToken();
    expect((await send(proof, 'wrong')).body.error).toBe('invalid_client');
    expect((await send(proof)).status).toBe(200);
    expect((await send(proof)).body.error).toBe('invalid_dpop_proof');
  });

  it('that is no JWT, or two of them, is refused', async () => {
    const { send, proofForToken } = await withKey();
    const proof = await proofForToken();
    for (const wrong of ['x', `${proof}, ${proof}`]) {
      expect((await send(wrong)).body.error).toBe('invalid_dpop_proof');
    }
  });

  it('counts once', async () => {
    const { send, proofForToken } = await withKey();
    const proof = await proofForToken();
    const answers = await Promise.all([send(proof), send(proof), send(proof)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400, 400]);
  });

  it('may name the URL with a query, which does not count', async () => {
    const { send, proofForToken, issuer } = await withKey();
    const htu = `${issuer}/oauth/v2/token?x=1#y`;
    expect((await send(await proofForToken({ claims: { htu } }))).status).toBe(200);
  });

  it('needs a nonce of the last minutes, and not one from before a restart', async () => {
    const clock = new TestClock();
    const { send, proofForToken, freshNonce, running, issuer } = await withKey({ clock: clock.read });
    const nonce = await freshNonce();
    const status = async (claims: object) =>
      (await send(await proofForToken({ claims: { ...claims } }))).status;
    expect(await status({ nonce })).toBe(200);
    clock.advance(60_000);
    expect(await status({ nonce })).toBe(200);
    clock.advance(120_000);
    expect(await status({ nonce })).toBe(400);

    const proof = await proofForToken();
    await running.service.close();
    const restarted = await runningService({
      clock: clock.read,
      dataDir: running.dataDir,
      externalUrl: issuer,
    });
    const answer = await fetch(`${restarted.url}/oauth/v2/token`, {
      method: 'POST',
      headers: { dpop: proof },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    expect((await answerOf(answer)).body.error).toBe('use_dpop_nonce');
  });
});

describe('oauth4webapi with DPoP', () => {
  it('gets a token after the server asked for a nonce, and calls APIs with it', async () => {
    const { running, robot } = await withKey({}, jwt);
    const issuer = new URL(running.service.issuer);
    const discovery = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    const server = await oauth.processDiscoveryResponse(issuer, discovery);
    const client: oauth.Client = { client_id: robot.clientId };
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
    const options = { DPoP, ...insecure };
    const by = oauth.ClientSecretBasic(robot.clientSecret);
    const grant = async () => {
      const parameters = { scope: managementScope };
      const response = await oauth.clientCredentialsGrantRequest(server, client, by, parameters, options);
      return oauth.processClientCredentialsResponse(server, client, response);
    };
    const error = await grant().catch((reason) => reason);
    expect(oauth.isDPoPNonceError(error)).toBe(true);
    const { access_token, token_type } = await grant();
    expect(token_type).toBe('dpop');

    const userinfo = await oauth.userInfoRequest(server, client, access_token, options);
    expect((await oauth.processUserInfoResponse(server, client, robot.userId, userinfo)).sub).toBe(
      robot.userId,
    );
    const url = new URL(`${running.service.issuer}/management/v1/healthz`);
    const health = await oauth.protectedResourceRequest(
      access_token,
      'GET',
      url,
      undefined,
      undefined,
      options,
    );
    expect(health.status).toBe(200);
  });
});
