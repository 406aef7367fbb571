import { expect, it, onTestFinished } from 'vitest';
import { TestClock } from '../support/application.ts';
import { Deployment } from '../support/deployment.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const rotations = 3;

/** A service, a machine user, and a deployment that signs in as it all the time. */
async function deployed() {
  const clock = new TestClock();
  const running = await runningService({ clock: clock.read });
  const token = await adminToken(running);
  const management = managementClient(running.url, token);
  const robot = await addRobot(management);
  const call = async (method: string, path: string, body: unknown) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    );
  const deployment = new Deployment(running.url, robot.clientId, robot.clientSecret);
  onTestFinished(() => deployment.stop());
  const signIn = async (secret: string) =>
    (await requestToken(running.url, robot.clientId, secret, 'openid')).status;
  return { clock, management, call, robot, deployment, signIn };
}

it('a rolling rotation by plain PUT fails no sign-in when the policy gives an overlap', async () => {
  const { clock, management, call, robot, deployment, signIn } = await deployed();
  await call('PUT', '/orgs/me/secret-policy', { settings: { overlap: '600s' } });
  let old = robot.clientSecret;
  for (let rotation = 0; rotation < rotations; rotation++) {
    const { body } = await management('PUT', `/users/${robot.userId}/secret`, {});
    await deployment.rollOut(body.clientSecret);
    clock.advance(600_000);
    await deployment.someSignIns();
    expect(await signIn(old)).toBe(401);
    old = body.clientSecret;
  }
  await deployment.stop();
  expect(deployment.failures).toEqual([]);
});

it('a rolling rotation by the own API fails no sign-in', async () => {
  const { call, robot, deployment, signIn } = await deployed();
  const secrets = `/users/${robot.userId}/secrets`;
  let old = robot.clientSecret;
  for (let rotation = 0; rotation < rotations; rotation++) {
    const { body } = await call('POST', secrets, {});
    await deployment.rollOut(body.clientSecret);
    expect((await call('POST', `${secrets}/${old.slice(4, 20)}/_retire`, {})).status).toBe(200);
    await deployment.someSignIns();
    expect(await signIn(old)).toBe(401);
    old = body.clientSecret;
  }
  await deployment.stop();
  expect(deployment.failures).toEqual([]);
});

it('without an overlap the same rotation fails sign-ins, so that these tests are known to see them', async () => {
  const { management, robot, deployment } = await deployed();
  const { body } = await management('PUT', `/users/${robot.userId}/secret`, {});
  await deployment.rollOut(body.clientSecret);
  await deployment.stop();
  expect(deployment.failures.length).toBeGreaterThan(0);
});
