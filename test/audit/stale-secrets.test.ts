import { describe, expect, it, onTestFinished } from 'vitest';
import { staleSecrets } from '../../src/audit/stale-secrets.ts';
import { machineSecretUse, machineUser, organization } from '../../src/domain/aggregates.ts';
import { defaultSecretPolicy } from '../../src/domain/secret-policy/policy.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { runKeyturn } from '../support/keyturn-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const day = 24 * 3600 * 1000;

async function startServer(): Promise<EventStoreDbServer> {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  return server;
}

function openStore({ connectionString }: EventStoreDbServer): EventStore {
  return closedAfterTest(openEventStoreDbEventStore({ connectionString }));
}

describe.each([
  ['the embedded event store', async () => emptyStore()],
  ['EventStoreDB', async () => openStore(await startServer())],
])('in the log of %s', (_, open) => {
  it('replaced secrets that are still used, unused ones and old ones are found, and no others', async () => {
    const store = await open();
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
});

it('keyturn stale reads the EventStoreDB that it is told of', async () => {
  const server = await startServer();
  const { commands, machineUsers } = node(openStore(server));
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  await machineUsers.add({ ...robot, userId: 'robot' }, context);
  const { clientSecret } = await machineUsers.setSecret({ userId: 'robot', organizationId }, context);
  const args = ['stale', '--event-store', server.connectionString, '--unused-days', '0', '--format', 'json'];
  const { status, stdout, stderr } = await runKeyturn(args, temporaryFolder());
  expect([status, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toMatchObject([
    {
      userName: 'robot',
      secretId: clientSecret.slice(4, 20),
      reasons: expect.arrayContaining(['never used']),
    },
  ]);
});
