import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { type ServingKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import {
  type Answer,
  addRobot,
  type CallManagement,
  keyturnClient,
  managementClient,
  type Robot,
  requestToken,
} from '../support/running-service.ts';
import { liveIds, SecretsInLog } from '../support/secrets-in-log.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

interface AnsweredSecret {
  readonly robot: Robot;
  readonly secretId: string;
  readonly secret: string;
  readonly sequence: bigint;
}

/** Wrong secrets are tried on purpose. */
const environment = { KEYTURN_FAILURES_PER_CLIENT: '100000', KEYTURN_FAILURES_PER_SOURCE: '100000' };
const policy = { overlap: '3600s', maxLiveSecrets: 3 };

/** How many of a robot are tried after each start: refusals are slow on purpose. */
const checkedSecrets = 12;

const idOf = (secret: string) => secret.slice(4, 20);

async function signedIn(folder: string, { url }: ServingKeyturn) {
  const credentials = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const { body } = await requestToken(url, credentials.clientId, credentials.clientSecret);
  return { management: managementClient(url, body.access_token), own: keyturnClient(url, body.access_token) };
}

type Rotation = 'put' | 'add' | 'retire';

/** Rotates until the process is gone, and keeps what it was given. A request that the end of the process cuts off has no answer. */
async function rotateUntilGone(
  rotations: readonly Rotation[],
  robot: Robot,
  { management, own }: { readonly management: CallManagement; readonly own: CallManagement },
  answered: AnsweredSecret[],
  isGone: () => boolean,
): Promise<void> {
  const secrets = `/users/${robot.userId}/secrets`;
  const ask: Readonly<Record<Rotation, () => Promise<Answer>>> = {
    put: () => management('PUT', `/users/${robot.userId}/secret`, {}),
    add: () => own('POST', secrets, { overlap: '600s' }),
    retire: () => {
      const { secretId } = answered.findLast((one) => one.robot === robot) ?? { secretId: 'none' };
      return own('POST', `${secrets}/${secretId}/_retire`, {});
    },
  };
  for (let next = 0; !isGone(); next++) {
    const rotation = rotations[next % rotations.length] ?? 'put';
    try {
      const { body } = await ask[rotation]();
      if (body.clientSecret === undefined) continue;
      const { sequence } = body.details ?? body.change;
      const { clientSecret: secret } = body;
      answered.push({ robot, secretId: idOf(secret), secret, sequence: BigInt(sequence) });
    } catch (error) {
      if (!isGone()) throw error;
    }
  }
}

const anyLife = fc.record({
  /** In milliseconds. */
  length: fc.nat({ max: 200 }),
  rotations: fc.array(fc.constantFrom<Rotation>('put', 'add', 'retire'), { minLength: 1, maxLength: 4 }),
});

test('a service that is killed again and again in the middle of rotations keeps what it has answered', async () => {
  const whenKilled = fc.asyncProperty(fc.array(anyLife, { minLength: 3, maxLength: 3 }), async (lives) => {
    const folder = temporaryFolder();
    const answered: AnsweredSecret[] = [];
    let keyturn = await serveKeyturn(folder, environment);
    let clients = await signedIn(folder, keyturn);
    await clients.own('PUT', '/orgs/me/secret-policy', { settings: policy });
    const robots = [await addRobot(clients.management, 'one'), await addRobot(clients.management, 'two')];
    for (const { length, rotations } of lives) {
      let isGone = false;
      const rotating = robots.flatMap((robot) =>
        [1, 2].map(() => rotateUntilGone(['put', ...rotations], robot, clients, answered, () => isGone)),
      );
      // The first life lasts until something was answered: else there is nothing to keep.
      while (answered.length === 0) await sleep(5);
      await sleep(length);
      isGone = true;
      keyturn.process.kill('SIGKILL');
      await Promise.all([keyturn.ended, ...rotating]);

      const log = openSqliteEventStore({ file: join(folder, 'data/events.db'), readOnly: true });
      const secretsInLog = SecretsInLog.read(await Array.fromAsync(log.readAll()));
      await log.close();
      keyturn = await serveKeyturn(folder, environment);
      clients = await signedIn(folder, keyturn);
      for (const robot of robots) {
        const user = secretsInLog.user(robot.userId);
        const live = liveIds(user, new Date().toISOString());
        const own = answered.filter((one) => one.robot === robot);
        for (const { secretId, sequence } of own) {
          expect(user.secrets).toContainEqual(expect.objectContaining({ secretId, sequence }));
        }
        const newest = own.slice(-checkedSecrets);
        const statuses = await Promise.all(
          newest.map(
            async ({ secret }) => (await requestToken(keyturn.url, robot.clientId, secret, 'openid')).status,
          ),
        );
        expect(statuses).toEqual(newest.map(({ secretId }) => (live.includes(secretId) ? 200 : 401)));
        const { sequence, changeDate } = user;
        const { body } = await clients.management('GET', `/users/${robot.userId}`);
        expect(body.user).toMatchObject({
          details: { sequence: String(sequence), changeDate },
          machine: { hasSecret: true },
        });
      }
    }
    expect(answered.length).toBeGreaterThan(0);
    keyturn.process.kill('SIGKILL');
    await keyturn.ended;
  });
  await fc.assert(whenKilled, { numRuns: 1, endOnFailure: true });
});
