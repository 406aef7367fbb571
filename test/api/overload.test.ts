import { expect, test, vi } from 'vitest';
import { bcryptHasher, type SecretHasher } from '../../src/application/secret-hasher.ts';
import { adminToken, managementClient, requestToken, runningService } from '../support/running-service.ts';

/** Its hashes, or its checks, are held up until they are released: all but the first, which is about the admin's secret. */
function heldUpHasher(kind: 'hash' | 'verify') {
  const real = bcryptHasher(4);
  const released = Promise.withResolvers<void>();
  let count = 0;
  const turn = async () => {
    if (++count > 1) await released.promise;
  };
  const hasher: SecretHasher = {
    ...real,
    [kind]: async (...secrets: [string, string]) => {
      await turn();
      return real[kind](...secrets);
    },
  };
  const begun = (wanted: number) => vi.waitFor(() => expect(count).toBe(wanted));
  return { hasher, begun, release: () => released.resolve() };
}

test('what would wait behind a full queue of hashes is refused at once, and the others are answered', async () => {
  const { hasher, begun, release } = heldUpHasher('hash');
  const running = await runningService({ hasher, hashQueue: 2 });
  const call = managementClient(running.url, await adminToken(running));
  const setSecret = () => call('PUT', `/users/${running.admin.userId}/secret`, {});
  const waiting = [setSecret(), setSecret()];
  await begun(3);

  const refused = await setSecret();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(refused.body).toMatchObject({ code: 14, details: [{ id: 'KEYTURN-Overloaded' }] });
  // A secret that was verified before needs no hash.
  expect(await adminToken(running)).toBeTypeOf('string');
  expect(running.log()).not.toContain('"level":50');

  release();
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await setSecret()).status).toBe(200);
});

test('the first use of a secret is temporarily unavailable behind a full queue', async () => {
  const { hasher, begun, release } = heldUpHasher('verify');
  const running = await runningService({ hasher, hashQueue: 1 });
  const call = managementClient(running.url, await adminToken(running));
  const robot = async (userName: string) => {
    const { userId } = (await call('POST', '/users/machine', { userName, name: 'Robot' })).body;
    const { clientSecret } = (await call('PUT', `/users/${userId}/secret`, {})).body;
    return () => requestToken(running.url, userName, clientSecret, 'openid');
  };
  const [signInFirst, signInSecond] = [await robot('first'), await robot('second')];
  const waiting = signInFirst();
  await begun(2);

  const refused = await signInSecond();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(refused.body).toMatchObject({ error: 'temporarily_unavailable' });

  release();
  expect((await waiting).status).toBe(200);
  expect((await signInSecond()).status).toBe(200);
});
