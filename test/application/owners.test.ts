import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Members, removeMachineUser } from '../../src/application/members.ts';
import { Organizations } from '../../src/application/organizations.ts';
import { instance, instanceId, machineUser, organization } from '../../src/domain/aggregates.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import { ownerRole, ownersOf } from '../../src/domain/instance/decider.ts';
import { context, emptyStore, node, robot } from '../support/application.ts';

/** An instance whose owners are in two organizations, none of which is that of the set-up. */
async function owned(count: number) {
  const { commands, owners, machineUsers } = node(emptyStore());
  const setUp = { projectId: 'p', organizationId: 'org-0', adminUserId: 'admin' };
  await commands.execute(instance, instanceId, { type: 'StartSetUp', ...setUp }, context);
  for (const organizationId of ['org-1', 'org-2']) {
    const command = { type: 'AddOrganization', name: organizationId } as const;
    await commands.execute(organization, organizationId, command, context);
  }
  const members = new Members(commands, owners);
  const organizations = new Organizations(commands, { isOrganizationNameTaken: () => false }, owners);
  for (let index = 0; index < count; index++) {
    const user = { userId: `${index}`, userName: `${index}`, organizationId: organizationOf(index) };
    await machineUsers.add({ ...robot, ...user }, context);
    await members.add('instance', { userId: user.userId, roles: [ownerRole] }, context);
  }
  const directory = { membershipsOf: () => [{ scope: 'instance' }] as const };
  return { commands, machineUsers, members, organizations, directory };
}

const organizationOf = (index: number) => `org-${(index % 2) + 1}`;

type Owned = Awaited<ReturnType<typeof owned>>;

/** All that takes an owner away. */
const attacks: Readonly<
  Record<string, (of: Owned, userId: string, organizationId: string) => Promise<unknown>>
> = {
  lock: ({ machineUsers }, userId, organizationId) => machineUsers.lock({ userId, organizationId }, context),
  deactivate: ({ machineUsers }, userId, organizationId) =>
    machineUsers.deactivate({ userId, organizationId }, context),
  remove: (of, userId, organizationId) => removeMachineUser(of, { userId, organizationId }, context),
  'take the membership of': ({ members }, userId) => members.remove('instance', userId, context),
  'take the role of': ({ members }, userId) =>
    members.change('instance', { userId, roles: ['IAM_OWNER_VIEWER'] }, context),
  'deactivate the organization of': ({ organizations }, _, organizationId) =>
    organizations.deactivate(organizationId, context),
};

async function actingOwners({ commands }: Owned): Promise<string[]> {
  const acting: string[] = [];
  for (const userId of ownersOf((await commands.load(instance, instanceId)).state)) {
    const { state: user } = await commands.load(machineUser, userId);
    if (user.status !== 'active') continue;
    const { state } = await commands.load(organization, user.organizationId);
    if (state.status === 'active') acting.push(userId);
  }
  return acting;
}

test('whatever is done to all owners at the same moment, one who can act is left', async () => {
  const anyAttacks = fc.array(fc.constantFrom(...Object.keys(attacks)), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(anyAttacks, async (names) => {
      const of = await owned(names.length);
      const outcomes = await Promise.allSettled(
        names.map((name, index) => attacks[name]?.(of, `${index}`, organizationOf(index))),
      );
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(KeyturnError);
      }
      expect(await actingOwners(of)).not.toEqual([]);
      // And no more are refused than must be.
      expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(names.length > 1);
    }),
    { numRuns: 60 },
  );
});
