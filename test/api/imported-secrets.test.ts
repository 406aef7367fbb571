import { pbkdf2Sync } from 'node:crypto';
import { hash as argon2 } from '@node-rs/argon2';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { describe, expect, it, vi } from 'vitest';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import {
  addRobot,
  adminToken,
  answerOf,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';

const secret = '7d793037a0760186574b0282f2f435e7';

/** As Passlib writes it. */
function pbkdf2(text: string): string {
  const base64 = (bytes: Uint8Array) =>
    Buffer.from(bytes).toString('base64').replaceAll('+', '.').replaceAll('=', '');
  const salt = Buffer.from('0123456789abcdef');
  return `$pbkdf2-sha256$1000$${base64(salt)}$${base64(pbkdf2Sync(text, salt, 1000, 32, 'sha256'))}`;
}

async function importing(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const token = await adminToken(running);
  const robot = await addRobot(managementClient(running.url, token));
  const importSecret = async (body: object) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1/users/${robot.userId}/secrets/_import`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    );
  const signIn = async (text: string) =>
    (await requestToken(running.url, robot.clientId, text, 'openid')).status;
  const events = () => Array.fromAsync(running.service.eventStore.readStream(`machineUser-${robot.userId}`));
  return { running, robot, importSecret, signIn, events };
}

describe('an imported secret', () => {
  it('signs in beside the one of Keyturn, under the id that it was given', async () => {
    const { robot, importSecret, signIn, events } = await importing();
    const { status, body } = await importSecret({ secret, id: 'from-keycloak' });
    expect([status, body]).toEqual([
      200,
      {
        id: 'from-keycloak',
        clientId: robot.clientId,
        change: { sequence: '3', changeDate: expect.any(String) },
      },
    ]);
    expect([await signIn(secret), await signIn(robot.clientSecret), await signIn('x'.repeat(32))]).toEqual([
      200, 200, 401,
    ]);
    expect(JSON.stringify((await events()).map(({ data }) => data))).not.toContain(secret);
    const again = await importSecret({ secret: `${secret}2`, id: 'from-keycloak', overlap: '0s' });
    expect([again.status, again.body.details[0].id]).toEqual([409, 'KEYTURN-SecretId']);
  });

  it('costs no hash for a guess that is longer than any', async () => {
    const hasher = bcryptHasher(4);
    const { importSecret, signIn } = await importing({ hasher });
    await importSecret({ secret });
    const verify = vi.spyOn(hasher, 'verify');
    const callsFor = async (length: number) => {
      expect(await signIn('x'.repeat(length))).toBe(401);
      return verify.mock.calls.length;
    };
    expect([await callsFor(257), await callsFor(256)]).toEqual([0, 1]);
  });

  it.each([
    ['bcrypt', () => bcrypt(secret, { cost: 6 })],
    ['argon2', () => argon2(secret, { memoryCost: 1024, timeCost: 2 })],
    ['PBKDF2', async () => pbkdf2(secret)],
  ])('of which there is a hash of %s gets one of ours on its first use', async (_, hashOf) => {
    const { importSecret, signIn, events } = await importing();
    const hash = await hashOf();
    expect((await importSecret({ hash })).status).toBe(200);
    expect([await signIn(secret), await signIn(`${secret}x`)]).toEqual([200, 401]);
    await expect.poll(async () => (await events()).at(-1)?.type).toBe('MachineSecretRehashed');
    expect((await events()).at(-1)?.data['hashedSecret']).toMatch(/^\$2b\$04\$/);
    expect([await signIn(secret), await signIn(`${secret}x`)]).toEqual([200, 401]);
    expect((await events()).filter(({ type }) => type === 'MachineSecretRehashed')).toHaveLength(1);
  });

  it('keeps the slow hash that it came with when ours, which is fast, would not protect it', async () => {
    const { importSecret, signIn, events } = await importing();
    await importSecret({ hash: pbkdf2('correct horse') });
    for (let time = 0; time < 3; time++) expect(await signIn('correct horse')).toBe(200);
    expect((await events()).map(({ type }) => type)).toEqual([
      'MachineUserAdded',
      'MachineSecretSet',
      'MachineSecretSet',
    ]);
  });

  it.each([
    [{ secret: 'password123' }, /takes about 10\^2\.\d guesses .*10\^20 are needed/],
    [{ secret: 'a'.repeat(60) }, /guesses/],
    [{ secret: `${secret.repeat(3)}` }, /longer than 72 bytes/],
    [{ hash: 'e99a18c428cb38d5f260853678922e03' }, /not a hash of bcrypt/],
    [{ hash: '$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy' }, /cost is 31/],
    [{ hash: `$argon2id$v=19$m=4194304,t=3,p=4$${'A'.repeat(22)}$${'A'.repeat(43)}` }, /m is 4194304/],
    [{ hash: `$pbkdf2-sha256$9999999999$${'a'.repeat(22)}$${'a'.repeat(43)}` }, /iterations is 9999999999/],
    [{ secret, id: 'no spaces' }, /id must have the form/],
    [{}, /From: value is required/],
  ])('%j is refused with a reason', async (body, reason) => {
    const { importSecret } = await importing();
    const refused = await importSecret(body);
    expect([refused.status, refused.body.message]).toEqual([400, expect.stringMatching(reason)]);
    if ('secret' in body) expect(JSON.stringify(refused.body)).not.toContain(body.secret);
  });
});
