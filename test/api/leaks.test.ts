import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { newSecretId, newSecretRandom } from '../../src/application/random-ids.ts';
import { composeSecret } from '../../src/domain/machine-secret.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const guess = composeSecret(newSecretId(), newSecretRandom());

/** What GitHub publishes. */
async function keyServer(status = 200, onRequest = () => {}): Promise<string> {
  const key = publicKey.export({ type: 'spki', format: 'pem' });
  const server = createServer((_request, response) => {
    onRequest();
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ public_keys: [{ key_identifier: 'key-1', key, is_current: true }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
}

async function scanned(githubKeysUrl?: string) {
  const running = await runningService({ githubKeysUrl: githubKeysUrl ?? (await keyServer()) });
  const token = await adminToken(running);
  const robot = await addRobot(managementClient(running.url, token));
  const post = async (body: string, headers: Record<string, string> = {}) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1/leaks`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      }),
    );
  const report = (body: unknown) => post(JSON.stringify(body));
  const signed = (body: unknown, keyId = 'key-1') => {
    const text = JSON.stringify(body);
    return post(text, {
      'github-public-key-identifier': keyId,
      'github-public-key-signature': sign('sha256', Buffer.from(text), privateKey).toString('base64'),
    });
  };
  const signIn = async () =>
    (await requestToken(running.url, robot.clientId, robot.clientSecret, 'openid')).status;
  const types = async () =>
    (await Array.fromAsync(running.service.eventStore.readStream(`machineUser-${robot.userId}`))).map(
      ({ type }) => type,
    );
  return { running, token, robot, post, report, signed, signIn, types };
}

describe('a found secret', () => {
  it('retires at once, with its tokens, though it is the last', async () => {
    const { running, robot, report, signIn, types } = await scanned();
    const { body: granted } = await requestToken(running.url, robot.clientId, robot.clientSecret, 'openid');
    const found = { secret: robot.clientSecret, source: 'a colleague', url: 'https://paste.example/1' };
    expect((await report(found)).body).toEqual({ live: true, retired: true });
    expect(await signIn()).toBe(401);
    const headers = { authorization: `Bearer ${granted.access_token}` };
    expect((await fetch(`${running.url}/oidc/v1/userinfo`, { headers })).status).toBe(401);
    expect(await types()).toEqual([
      'MachineUserAdded',
      'MachineSecretSet',
      'MachineSecretLeaked',
      'MachineTokensEnded',
      'MachineSecretRetired',
    ]);
    expect((await report(found)).body).toEqual({ live: false, retired: false });
    expect(running.log()).not.toContain(robot.clientSecret);
  });

  it('is only told of, once, where the policy says so', async () => {
    const { running, token, robot, report, signIn, types } = await scanned();
    await fetch(`${running.url}/keyturn/v1/orgs/me/secret-policy`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"settings":{"retireLeaked":false}}',
    });
    for (let time = 0; time < 2; time++) {
      expect((await report({ secret: robot.clientSecret })).body).toEqual({ live: true, retired: false });
    }
    expect([await signIn(), (await types()).slice(2)]).toEqual([200, ['MachineSecretLeaked']]);
  });

  it('that is none changes nothing', async () => {
    const { robot, report, types } = await scanned();
    const other = composeSecret(robot.clientSecret.slice(4, 20), newSecretRandom());
    for (const secret of [guess, other, 'password', `${robot.clientSecret}x`]) {
      expect((await report({ secret })).body).toEqual({ live: false, retired: false });
    }
    expect(await types()).toHaveLength(2);
  });

  it.each(['', '{', '[]', '{}', '{"secret":1}', '{"secret":""}'])('%j is refused', async (body) => {
    const { post } = await scanned();
    expect((await post(body)).status).toBe(400);
  });
});

describe('a report of GitHub', () => {
  const found = (secret: string) => ({
    token: secret,
    type: 'keyturn_secret',
    url: 'https://x.example/a',
    source: 'commit',
  });

  it('is answered for each secret, and retires those that are live', async () => {
    const { robot, signed, signIn } = await scanned();
    const { status, body } = await signed([found(robot.clientSecret), found(guess)]);
    expect([status, body]).toEqual([
      200,
      [
        { token_raw: robot.clientSecret, token_type: 'keyturn_secret', label: 'true_positive' },
        { token_raw: guess, token_type: 'keyturn_secret', label: 'false_positive' },
      ],
    ]);
    expect(await signIn()).toBe(401);
  });

  it('counts for nothing without the signature of GitHub over it', async () => {
    const { robot, signed, post, signIn } = await scanned();
    const body = JSON.stringify([found(robot.clientSecret)]);
    const signature = sign('sha256', Buffer.from(`${body} `), privateKey).toString('base64');
    const key = { 'github-public-key-identifier': 'key-1' };
    expect((await post(body, { ...key, 'github-public-key-signature': signature })).status).toBe(401);
    expect((await post(body, { ...key, 'github-public-key-signature': 'x' })).status).toBe(401);
    expect((await post(body, key)).status).toBe(401);
    expect((await signed([found(robot.clientSecret)], 'key-2')).status).toBe(401);
    expect((await post(body)).status).toBe(400);
    expect(await signIn()).toBe(200);
  });

  it('with the name of a key that nobody has does not make us ask GitHub again and again', async () => {
    const asked = vi.fn();
    const { signed } = await scanned(await keyServer(200, asked));
    for (const keyId of ['key-2', 'key-3', 'key-4'])
      expect((await signed([found(guess)], keyId)).status).toBe(401);
    expect((await signed([found(guess)])).status).toBe(200);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it('is to come again when the keys of GitHub cannot be had', async () => {
    const asked = vi.fn();
    const { robot, signed } = await scanned(await keyServer(500, asked));
    for (const _ of [1, 2]) expect((await signed([found(robot.clientSecret)])).status).toBe(503);
    expect(asked).toHaveBeenCalledTimes(2);
  });
});
