import { describe, expect, it, vi } from 'vitest';
import { newSecretId, newSecretRandom } from '../../src/application/random-ids.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { composeSecret } from '../../src/domain/machine-secret.ts';
import { context, TestClock } from '../support/application.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  type RunningService,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const guess = (secretId = newSecretId()) => composeSecret(secretId, newSecretRandom());
const proxied = { trustedProxies: ['127.0.0.1'] };

async function withRobot(options: Parameters<typeof runningService>[0] = {}) {
  const hasher = bcryptHasher(4);
  const verify = vi.spyOn(hasher, 'verify');
  const running = await runningService({ hasher, ...options });
  const token = await adminToken(running);
  const call = managementClient(running.url, token);
  const robot = await addRobot(call);
  const user = { userId: robot.userId, organizationId: running.admin.organizationId };
  const own = async (method: string, path: string) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1/users/${robot.userId}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(method === 'POST' && { body: '{}' }),
      }),
    );
  verify.mockClear();
  return { running, call, robot, user, verify, own };
}

async function signIn({ url }: RunningService, clientId: string, secret: string, address?: string) {
  const response = await fetch(`${url}/oauth/v2/token`, {
    method: 'POST',
    headers: address === undefined ? {} : { 'x-forwarded-for': address },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: secret,
      scope: 'profile',
    }),
  });
  return answerOf(response);
}

describe('a client that is guessed at', () => {
  it('is refused before anything is hashed, with the time to wait', async () => {
    const { running, robot, verify } = await withRobot({ failuresPerClient: 3 });
    const nearly = guess(robot.clientSecret.slice(4, 20));
    for (let attempt = 0; attempt < 3; attempt++) {
      expect((await signIn(running, 'robot', nearly)).status).toBe(401);
    }
    expect(verify).toHaveBeenCalledTimes(3);
    const { status, headers, body } = await signIn(running, 'robot', nearly);
    expect([status, body.error]).toEqual([429, 'slow_down']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(verify).toHaveBeenCalledTimes(3);
  });

  it('is not guessed at more often by those who send their guesses at once', async () => {
    const { running, robot, verify } = await withRobot({ failuresPerClient: 3 });
    const guesses = Array.from({ length: 50 }, () => guess(robot.clientSecret.slice(4, 20)));
    const answers = await Promise.all(guesses.map((one) => signIn(running, 'robot', one)));
    expect(verify).toHaveBeenCalledTimes(3);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(47);
  });

  it('signs in from many places at once for the first time', async () => {
    const { running, robot } = await withRobot({ failuresPerClient: 3 });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => signIn(running, 'robot', robot.clientSecret)),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
  });

  it('is not locked out, neither from elsewhere nor from the same address', async () => {
    const { running, call, robot } = await withRobot({ failuresPerClient: 2, failuresPerSource: 3 });
    const { body: renewed } = await call('PUT', `/users/${robot.userId}/secret`, {});
    for (const old of [robot.clientSecret, guess(), 'nonsense']) await signIn(running, 'robot', old);
    for (const old of [robot.clientSecret, guess(), 'nonsense']) {
      expect((await signIn(running, 'robot', old)).status).toBe(429);
    }
    expect((await signIn(running, 'robot', renewed.clientSecret)).status).toBe(200);
    expect((await signIn(running, 'robot', renewed.clientSecret)).status).toBe(200);
  });

  it('is refused at the address that failed too often, and at no other', async () => {
    const { running } = await withRobot({ ...proxied, failuresPerClient: 2 });
    for (let attempt = 0; attempt < 2; attempt++) await signIn(running, 'robot', guess(), '192.0.2.1');
    expect((await signIn(running, 'robot', guess(), '192.0.2.1')).status).toBe(429);
    expect((await signIn(running, 'robot', guess(), '192.0.2.2')).status).toBe(401);
  });

  it('is not named by an address that a client makes up', async () => {
    const { running } = await withRobot({ failuresPerClient: 2 });
    for (const address of ['192.0.2.1', '192.0.2.2']) await signIn(running, 'robot', guess(), address);
    expect((await signIn(running, 'robot', guess(), '192.0.2.3')).status).toBe(429);
  });

  it('learns of it: one event a minute with a count', async () => {
    const clock = new TestClock();
    const { running, own, robot } = await withRobot({ clock: clock.read, failuresPerClient: 1000 });
    const events = () =>
      Array.fromAsync(running.service.eventStore.readStream(`machineSecretUse-${robot.userId}`));
    const counts = async () => (await events()).map(({ type, data }) => [type, data['count']]);
    for (let attempt = 0; attempt < 3; attempt++) await signIn(running, 'ROBOT', guess());
    await signIn(running, 'nobody', guess());
    await vi.waitFor(async () => expect(await counts()).toEqual([['MachineSecretCheckFailed', 1]]));
    clock.advance(60_000);
    await signIn(running, 'robot', 'nonsense');
    const expected = [
      ['MachineSecretCheckFailed', 1],
      ['MachineSecretCheckFailed', 3],
    ];
    await vi.waitFor(async () => expect(await counts()).toEqual(expected));
    expect((await events())[1]?.metadata['origin']).toMatchObject({ address: '127.0.0.1' });
    await vi.waitFor(async () => {
      const { body } = await own('GET', '/secrets');
      expect([body.failedChecks, body.lastFailedCheckDate]).toEqual(['4', '2026-01-02T03:05:05.678Z']);
    });
  });
});

describe('the use of a secret', () => {
  it('is shown with the user, first and last, to the hour', async () => {
    const clock = new TestClock();
    const { running, robot, own, call } = await withRobot({
      clock: clock.read,
      accessTokenLifetime: 86_400,
    });
    const secrets = async () => (await own('GET', '/secrets')).body.result;
    const id = robot.clientSecret.slice(4, 20);
    const creationDate = '2026-01-02T03:04:05.678Z';
    expect(await secrets()).toEqual([{ id, creationDate }]);
    clock.advance(1000);
    const first = { id, creationDate, firstUseDate: '2026-01-02T03:04:06.678Z' };
    for (let time = 0; time < 3; time++) await signIn(running, 'robot', robot.clientSecret);
    await vi.waitFor(async () =>
      expect(await secrets()).toEqual([{ ...first, lastUseDate: first.firstUseDate }]),
    );
    clock.advance(3_600_000);
    await signIn(running, 'robot', robot.clientSecret);
    await vi.waitFor(async () =>
      expect(await secrets()).toEqual([{ ...first, lastUseDate: '2026-01-02T04:04:06.678Z' }]),
    );
    const { body } = await call('GET', `/users/${robot.userId}`);
    expect([body.user.details.sequence, body.user.details.changeDate]).toEqual(['2', creationDate]);
  });

  it('is nobody else’s to see', async () => {
    const { running, robot } = await withRobot();
    const { body } = await requestToken(running.url, 'robot', robot.clientSecret);
    const headers = { authorization: `Bearer ${body.access_token}` };
    const response = await fetch(`${running.url}/keyturn/v1/users/${robot.userId}/secrets`, { headers });
    expect(response.status).toBe(404);
  });
});

describe('all tokens of a user', () => {
  it('are ended by the API', async () => {
    const { running, robot, own } = await withRobot();
    const { body } = await requestToken(running.url, 'robot', robot.clientSecret);
    const { status, body: ended } = await own('POST', '/tokens/_end');
    expect([status, ended]).toEqual([200, { sequence: '3', changeDate: expect.any(String) }]);
    const headers = { authorization: `Bearer ${body.access_token}` };
    expect((await fetch(`${running.url}/oidc/v1/userinfo`, { headers })).status).toBe(401);
  });
});

describe('the time that a refusal takes', () => {
  it('does not tell an unknown client, a wrong secret and an inactive user apart', async () => {
    const { running, call, user } = await withRobot({ ...proxied, failuresPerSource: 1_000_000 });
    const inactive = await addRobot(call, 'inactive');
    await running.service.machineUsers.deactivate({ ...user, userId: inactive.userId }, context);
    const robot = await addRobot(call, 'guessed');
    const attempts: Record<string, () => [string, string]> = {
      'unknown client': () => ['nobody', guess()],
      'wrong secret': () => ['guessed', guess()],
      'nearly right secret': () => ['guessed', guess(robot.clientSecret.slice(4, 20))],
      'inactive user': () => ['inactive', inactive.clientSecret],
    };
    const times: Record<string, number[]> = {};
    const rounds = 40;
    for (let round = 0; round <= rounds; round++) {
      for (const [place, [reason, attempt]] of Object.entries(attempts).entries()) {
        const start = performance.now();
        // An address of its own each: the first failure there.
        await signIn(running, ...attempt(), `10.0.${place}.${round}`);
        if (round > 0) times[reason] = [...(times[reason] ?? []), performance.now() - start];
      }
    }
    const sorted = Object.values(times).map((one) => one.toSorted((a, b) => a - b));
    const quartile = (values: number[], n: number) =>
      values[Math.floor((values.length * n) / 4)] ?? Number.NaN;
    // The middle halves of all distributions have a time in common.
    const latestBegin = Math.max(...sorted.map((values) => quartile(values, 1)));
    const earliestEnd = Math.min(...sorted.map((values) => quartile(values, 3)));
    expect(latestBegin).toBeLessThanOrEqual(earliestEnd);
  });
});
