import { expect, test } from 'vitest';
import { PersonalFields } from '../../src/application/personal-fields.ts';
import { AuditError } from '../../src/audit/audit-error.ts';
import { findMachineUser } from '../../src/audit/machine-user-events.ts';
import { type HistoryQuery, userHistory } from '../../src/audit/user-history.ts';
import { machineUser, organization } from '../../src/domain/aggregates.ts';
import { exists } from '../../src/domain/machine-user/state.ts';
import { context, organizationId, robot } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';

const one = { userId: 'one', organizationId };

async function historyOf(log: Awaited<ReturnType<typeof auditedLog>>, query?: HistoryQuery) {
  return Array.fromAsync(userHistory(log.eventStore, 'one', query));
}

test('a history tells what each event changed, oldest first, and never a hash', async () => {
  const log = await auditedLog();
  const entries = await historyOf(log);
  const secretIds = (await Array.fromAsync(log.eventStore.readStream('machineUser-one'))).flatMap(
    (event) => event.data['secretId'] ?? [],
  );
  expect(entries.map(({ type, sequence, changes }) => [type, sequence, changes])).toEqual([
    [
      'MachineUserAdded',
      1n,
      [
        { field: 'state', from: '', to: 'active' },
        { field: 'userName', from: '', to: 'one' },
        { field: 'name', from: '', to: 'Robot' },
        { field: 'accessTokenType', from: '', to: 'bearer' },
      ],
    ],
    ['MachineSecretSet', 2n, [{ field: 'secrets', from: '', to: secretIds[0] }]],
    ['MachineUserDeactivated', 3n, [{ field: 'state', from: 'active', to: 'inactive' }]],
    ['MachineUserReactivated', 4n, [{ field: 'state', from: 'inactive', to: 'active' }]],
    ['MachineSecretSet', 5n, [{ field: 'secrets', from: secretIds[0], to: secretIds[1] }]],
    [
      'MachineUserChanged',
      6n,
      [
        { field: 'name', from: 'Robot', to: 'Robot one' },
        { field: 'description', from: '', to: 'welds' },
        { field: 'accessTokenType', from: 'bearer', to: 'jwt' },
      ],
    ],
  ]);
  expect(
    JSON.stringify(entries, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
  ).not.toContain('$2b$');
});

test('a history tells the times of secrets, also those that come after their end', async () => {
  const { eventStore, commands } = await auditedLog();
  const { state } = await commands.load(machineUser, 'one');
  const [old = ''] = exists(state) ? state.secrets.map(({ secretId }) => secretId) : [];
  const [retiresAt, expiresAt] = ['2026-01-02T03:05:17.678Z', '2030-01-01T00:00:00.000Z'];
  const added = { secretId: 'new', hashedSecret: 'hash', overlap: 60 };
  for (const command of [
    { type: 'AddSecret', organizationId, ...added },
    { type: 'ChangeSecretExpiry', organizationId, secretId: old, expiresAt },
    { type: 'CancelSecretRetirement', organizationId, secretId: old },
  ] as const) {
    await commands.execute(machineUser, 'one', command, context);
  }
  const entries = await Array.fromAsync(userHistory(eventStore, 'one'));
  const told = entries.slice(-3).map(({ changes }) => changes.map(({ to }) => to));
  expect(told).toEqual([
    [`${old} retires ${retiresAt} new`],
    [`${old} expires ${expiresAt} retires ${retiresAt} new`],
    [`${old} expires ${expiresAt} new`],
  ]);
});

test('a history names who did it, from where, and the roles that the user was given anywhere', async () => {
  const log = await auditedLog();
  const editor = { userId: 'two', organizationId };
  const origin = { address: '192.0.2.1', userAgent: 'terraform' };
  const request = { editor, origin, correlationId: 'request-1', causationId: 'request-1' };
  await log.machineUsers.setSecret(one, request);
  for (const id of ['org-1', 'org-2']) {
    await log.commands.execute(organization, id, { type: 'AddOrganization', name: id }, context);
    for (const userId of ['one', 'two']) {
      await log.commands.execute(
        organization,
        id,
        { type: 'AddMember', userId, roles: ['ORG_OWNER'] },
        request,
      );
    }
  }
  await log.commands.execute(organization, 'org-2', { type: 'RemoveMember', userId: 'one' }, request);
  const entries = (await historyOf(log)).slice(-4);
  expect(entries[0]).toMatchObject({
    type: 'MachineSecretSet',
    editor: { ...editor, userName: 'two' },
    ...origin,
    organizationId,
    requestId: 'request-1',
  });
  expect(entries.slice(1).map((entry) => [entry.type, entry.organizationId, entry.changes])).toEqual([
    ['OrganizationMemberAdded', 'org-1', [{ field: 'roles', from: '', to: 'ORG_OWNER' }]],
    ['OrganizationMemberAdded', 'org-2', [{ field: 'roles', from: '', to: 'ORG_OWNER' }]],
    ['OrganizationMemberRemoved', 'org-2', [{ field: 'roles', from: 'ORG_OWNER', to: '' }]],
  ]);
});

test('a history can be cut by time and by type, and read page by page', async () => {
  const log = await auditedLog();
  const all = await historyOf(log);
  const sequences = async (query: HistoryQuery) =>
    (await historyOf(log, query)).map((entry) => Number(entry.sequence));
  expect(await sequences({ since: all[2]?.time, until: all[4]?.time })).toEqual([3, 4, 5]);
  expect(await sequences({ types: ['MachineSecretSet'] })).toEqual([2, 5]);
  const pages: number[][] = [];
  for (let after: bigint | undefined; pages.length < 10; ) {
    const page = await historyOf(log, { after, limit: 4 });
    if (page.length === 0) break;
    pages.push(page.map((entry) => Number(entry.sequence)));
    after = page.at(-1)?.position;
  }
  expect(pages).toEqual([
    [1, 2, 3, 4],
    [5, 6],
  ]);
  // The first entry of a page tells its change from the state before it.
  expect((await historyOf(log, { after: all[3]?.position }))[0]?.changes).toEqual(all[4]?.changes);
});

test('a user is found by id and by user name, also after it was removed', async () => {
  const { eventStore, commands, machineUsers } = await auditedLog();
  const log = { eventStore, personalFields: new PersonalFields() };
  expect(await findMachineUser(log, 'one')).toBe('one');
  await machineUsers.add({ ...robot, userId: '17', userName: 'Welder' }, context);
  expect(await findMachineUser(log, ' welder')).toBe('17');
  await commands.execute(machineUser, '17', { type: 'Remove', organizationId }, context);
  expect(await findMachineUser(log, 'welder')).toBe('17');
  await expect(findMachineUser(log, 'nobody')).rejects.toThrow(AuditError);
});
