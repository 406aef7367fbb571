import { expect, it } from 'vitest';
import { staleSecrets } from '../../src/audit/stale-secrets.ts';
import { machineSecretUse, machineUser, organization } from '../../src/domain/aggregates.ts';
import { defaultSecretPolicy } from '../../src/domain/secret-policy/policy.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';

const day = 24 * 3600 * 1000;

it('finds replaced secrets that are still used, unused ones and old ones, and no others', async () => {
  const store = emptyStore();
  const { commands, machineUsers, clock } = node(store);
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  const add = async (userName: string) => {
    const { userId } = await machineUsers.add({ ...robot, userId: userName, userName }, context);
    await machineUsers.setSecret({ userId, organizationId }, context);
  };
  const use = async (userId: string, secretId: string, isReplaced = false) => {
    const now = clock.now.toISOString();
    const command = { type: 'RecordUse', secretId, isReplaced, now } as const;
    await commands.execute(machineSecretUse, userId, command, context);
  };
  const secretOf = async (userId: string) => {
    const { state } = await commands.load(machineUser, userId);
    return ('secrets' in state && state.secrets[0]?.secretId) || '';
  };
  for (const name of ['forgotten', 'resting', 'busy', 'rotating']) await add(name);
  for (const name of ['resting', 'busy']) await use(name, await secretOf(name));
  clock.advance(100 * day);
  await use('busy', await secretOf('busy'));
  const old = await secretOf('rotating');
  await commands.execute(
    machineUser,
    'rotating',
    {
      type: 'SetSecret',
      organizationId,
      secretId: 'new',
      hashedSecret: 'hash',
      policy: { ...defaultSecretPolicy, overlap: 3600 },
    },
    context,
  );
  await use('rotating', old, true);

  const listed = async (limits: { unusedDays: number; oldDays: number }) =>
    (await Array.fromAsync(staleSecrets(store, { now: clock.now, ...limits }))).map(
      ({ userName, reasons }) => [userName, ...reasons],
    );
  expect(await listed({ unusedDays: 90, oldDays: 365 })).toEqual([
    ['forgotten', 'never used'],
    ['resting', 'unused'],
    ['rotating', 'replaced, still used'],
  ]);
  expect(await listed({ unusedDays: 365, oldDays: 100 })).toEqual([
    ['busy', 'old'],
    ['forgotten', 'old'],
    ['resting', 'old'],
    ['rotating', 'replaced, still used', 'old'],
  ]);
  clock.advance(day);
  expect((await listed({ unusedDays: 365, oldDays: 365 })).flat()).toEqual([]);
});
