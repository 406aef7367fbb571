import { randomBytes } from 'node:crypto';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it, test } from 'vitest';
import { WrongMasterKeyError } from '../../src/application/master-keys.ts';
import { TestClock } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  type RunningService,
  requestToken,
  runningService,
} from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const kidOf = (token: string) => decodeProtectedHeader(token).kid;

async function publishedKids({ url }: RunningService): Promise<string[]> {
  const { keys } = (await (await fetch(`${url}/oauth/v2/keys`)).json()) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid);
}

const ask = async (running: RunningService, token: string, method: string, path: string, body?: object) =>
  answerOf(
    await fetch(`${running.url}/keyturn/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }),
  );

/** A service whose clock the test moves, and its admin, whose tokens are JWTs. */
async function withClock(options: Parameters<typeof runningService>[0] = {}) {
  const clock = new TestClock();
  const running = await runningService({ clock: clock.read, ...options });
  return { clock, running, grant: () => adminToken(running) };
}

describe('a rotation', () => {
  it('publishes the new key before it signs, and the old one until its last token has expired', async () => {
    const { clock, running, grant } = await withClock();
    const before = await grant();
    const old = kidOf(before);
    const { body } = await ask(running, before, 'POST', '/signing-keys/_rotate', {});
    const next = body.key.id;
    expect(body.key.state).toBe('SIGNING_KEY_STATE_PENDING');
    expect(await publishedKids(running)).toEqual([next, old]);
    expect(kidOf(await grant())).toBe(old);

    clock.advance(10 * minute);
    const after = await grant();
    expect(kidOf(after)).toBe(next);
    const { body: listed } = await ask(running, before, 'GET', '/signing-keys');
    expect(listed.result.map(({ id, state }: { id: string; state: string }) => [id, state])).toEqual([
      [next, 'SIGNING_KEY_STATE_SIGNING'],
      [old, 'SIGNING_KEY_STATE_RETIRING'],
    ]);
    const keys = createRemoteJWKSet(new URL(`${running.url}/oauth/v2/keys`));
    const options = { issuer: running.service.issuer, currentDate: clock.now };
    await jwtVerify(before, keys, options);
    await jwtVerify(after, keys, options);

    clock.advance(day - 1);
    expect(await publishedKids(running)).toEqual([next, old]);
    clock.advance(1);
    expect(await publishedKids(running)).toEqual([next]);
  });

  it('that revokes the others voids at once what they signed', async () => {
    const { running, grant } = await withClock();
    const before = await grant();
    const { status } = await ask(running, before, 'POST', '/signing-keys/_rotate', { revokeOthers: true });
    expect(status).toBe(200);
    expect((await ask(running, before, 'GET', '/signing-keys')).status).toBe(401);
    const after = await grant();
    expect(await publishedKids(running)).toEqual([kidOf(after)]);
    expect((await ask(running, after, 'GET', '/signing-keys')).status).toBe(200);
  });

  it('comes on a schedule', async () => {
    const { clock, running, grant } = await withClock({ signingKeyRotation: 30 });
    const old = kidOf(await grant());
    const { dataDir } = running;
    const restart = async () => {
      await running.service.close();
      return runningService({ clock: clock.read, dataDir, signingKeyRotation: 30 });
    };
    clock.advance(30 * day - 1);
    const early = await restart();
    expect(await publishedKids(early)).toEqual([old]);
    await early.service.close();
    clock.advance(1);
    const due = await restart();
    expect(await publishedKids(due)).toHaveLength(2);
    await due.service.close();
    expect(await publishedKids(await restart())).toHaveLength(2);
  });

  it('comes with another algorithm', async () => {
    const { clock, running } = await withClock();
    const { dataDir } = running;
    await running.service.close();
    const restarted = await runningService({ clock: clock.read, dataDir, signingAlgorithm: 'EdDSA' });
    expect(decodeProtectedHeader(await adminToken(restarted)).alg).toBe('ES256');
    clock.advance(10 * minute);
    expect(decodeProtectedHeader(await adminToken(restarted)).alg).toBe('EdDSA');
  });

  it('needs the permission to change the instance, a list that to read it', async () => {
    const { running, grant } = await withClock();
    const call = managementClient(running.url, await grant());
    const robot = await addRobot(call);
    const { body } = await requestToken(running.url, robot.clientId, robot.clientSecret);
    const list = () => ask(running, body.access_token, 'GET', '/signing-keys');
    const rotate = () => ask(running, body.access_token, 'POST', '/signing-keys/_rotate', {});
    expect([(await list()).status, (await rotate()).status]).toEqual([404, 404]);
    await running.addInstanceMember(robot.userId, 'IAM_OWNER_VIEWER');
    expect([(await list()).status, (await rotate()).status]).toEqual([200, 403]);
    expect((await ask(running, '', 'GET', '/signing-keys')).status).toBe(401);
  });
});

test('the master key is changed without an end to any token', async () => {
  const dataDir = temporaryFolder();
  const [old, current] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))];
  const running = await runningService({ dataDir, masterKey: old });
  const externalUrl = running.service.issuer;
  const jwt = await adminToken(running);
  const robot = await addRobot(managementClient(running.url, jwt));
  const opaque = (await requestToken(running.url, robot.clientId, robot.clientSecret)).body.access_token;
  await running.service.close();

  await expect(runningService({ dataDir, externalUrl, masterKey: current })).rejects.toThrow(
    WrongMasterKeyError,
  );
  const areAlive = async ({ url }: RunningService) => {
    const answers = [jwt, opaque].map((token) =>
      fetch(`${url}/oidc/v1/userinfo`, { headers: { authorization: `Bearer ${token}` } }),
    );
    return (await Promise.all(answers)).map(({ status }) => status === 200);
  };
  const both = { dataDir, externalUrl, masterKey: current, previousMasterKey: old };
  const changing = await runningService(both);
  expect(await areAlive(changing)).toEqual([true, true]);
  const fresh = (await requestToken(changing.url, robot.clientId, robot.clientSecret)).body.access_token;
  await changing.service.close();

  const changed = await runningService({ dataDir, externalUrl, masterKey: current });
  expect(await areAlive(changed)).toEqual([true, false]);
  const userinfo = { headers: { authorization: `Bearer ${fresh}` } };
  expect((await fetch(`${changed.url}/oidc/v1/userinfo`, userinfo)).status).toBe(200);
  expect(kidOf(await adminToken(changed))).toBe(kidOf(jwt));
});
