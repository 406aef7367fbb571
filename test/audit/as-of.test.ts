import fc from 'fast-check';
import { expect, test } from 'vitest';
import { machineUserAsOf, machineUsersAsOf } from '../../src/audit/as-of.ts';
import { AuditError } from '../../src/audit/audit-error.ts';
import { parseTime, resolveMoment } from '../../src/audit/moment.ts';
import { standingDifferences } from '../../src/audit/standing-differences.ts';
import { instance, instanceId, machineUser, organization } from '../../src/domain/aggregates.ts';
import type { Decider, DomainEvent, Occurred } from '../../src/domain/decider.ts';
import { readStoredEvent } from '../../src/domain/event-catalogue.ts';
import type { InstanceState } from '../../src/domain/instance/decider.ts';
import { exists, type MachineUserState } from '../../src/domain/machine-user/state.ts';
import type { Members } from '../../src/domain/members.ts';
import type { OrganizationState } from '../../src/domain/organization/decider.ts';
import type { RecordedEvent } from '../../src/eventstore/event-store.ts';
import type { MachineUserStanding } from '../../src/projections/machine-user-states.ts';
import { context, emptyStore, node, robot } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';

const userIds = ['a', 'b', 'é'];
const organizationIds = ['org-1', 'org-2'];

type Command = readonly [kind: string, user: number, organization: number];

const commands = fc.array(
  fc.tuple(
    fc.constantFrom(
      'add',
      'set secret',
      'remove secret',
      'deactivate',
      'reactivate',
      'lock',
      'unlock',
      'rename',
      'remove',
      'grant',
      'change role',
      'withdraw',
      'grant in instance',
    ),
    fc.nat(userIds.length - 1),
    fc.nat(organizationIds.length - 1),
  ),
  { minLength: 1, maxLength: 40 },
);

/** A log that a service wrote which was given `commands`. Those that a rule forbids leave nothing. */
async function logOf(given: readonly Command[]) {
  const eventStore = emptyStore();
  const service = node(eventStore);
  const plan = { projectId: 'p', organizationId: 'org-1', adminUserId: 'a' };
  await service.commands.execute(instance, instanceId, { type: 'StartSetUp', ...plan }, context);
  for (const id of organizationIds) {
    await service.commands.execute(organization, id, { type: 'AddOrganization', name: id }, context);
  }
  for (const [kind, user, org] of given) {
    service.clock.advance(1000);
    await run(service, kind, userIds[user] ?? '', organizationIds[org] ?? '').catch(() => {});
  }
  return { eventStore, events: await Array.fromAsync(eventStore.readAll()) };
}

async function run(
  { commands, machineUsers }: ReturnType<typeof node>,
  kind: string,
  userId: string,
  id: string,
): Promise<unknown> {
  const organizationId = 'org-1';
  const onUser = (type: 'Deactivate' | 'Reactivate' | 'Lock' | 'Unlock' | 'Remove') =>
    commands.execute(machineUser, userId, { type, organizationId }, context);
  const roles = kind === 'change role' ? ['ORG_USER_MANAGER'] : ['ORG_OWNER'];
  switch (kind) {
    case 'add':
      return machineUsers.add({ ...robot, userId, userName: userId }, context);
    case 'set secret':
      return machineUsers.setSecret({ userId, organizationId }, context);
    case 'remove secret':
      return machineUsers.removeSecret({ userId, organizationId }, context);
    case 'deactivate':
      return onUser('Deactivate');
    case 'reactivate':
      return onUser('Reactivate');
    case 'lock':
      return onUser('Lock');
    case 'unlock':
      return onUser('Unlock');
    case 'remove':
      return onUser('Remove');
    case 'rename': {
      const rename = { type: 'ChangeUserName', organizationId, userName: `${userId}2` } as const;
      return commands.execute(machineUser, userId, rename, context);
    }
    case 'grant':
      return commands.execute(organization, id, { type: 'AddMember', userId, roles }, context);
    case 'change role':
      return commands.execute(organization, id, { type: 'ChangeMember', userId, roles }, context);
    case 'withdraw':
      return commands.execute(organization, id, { type: 'RemoveMember', userId }, context);
    default: {
      const grant = { type: 'AddMember', userId, roles: ['IAM_OWNER'] } as const;
      return commands.execute(instance, instanceId, grant, context);
    }
  }
}

/** The same by the deciders alone: every stream folded from its begin. */
function foldedFromScratch(events: readonly RecordedEvent[]) {
  const fold = <State>(decider: Decider<never, DomainEvent, State>, stream: string): State =>
    events
      .filter((event) => event.stream === stream)
      .reduce(
        (state, event) => decider.evolve(state, readStoredEvent(event) as Occurred<DomainEvent>),
        decider.initialState,
      );
  const scopes: [string, Members][] = [
    ['', membersOf(fold(instance.decider as never, `instance-${instanceId}`))],
    ...organizationIds.map((id): [string, Members] => [
      id,
      membersOf(fold(organization.decider as never, `organization-${id}`)),
    ]),
  ];
  return userIds.flatMap((userId) => {
    const state: MachineUserState = fold(machineUser.decider as never, `machineUser-${userId}`);
    if (!exists(state)) return [];
    const { status, addedAt, secrets, keyIds, organizationId, userName, name, description, accessTokenType } =
      state;
    const roles = scopes.flatMap(([organizationId, members]) => {
      const granted = members.get(userId);
      return granted === undefined ? [] : [{ organizationId, roles: [...granted] }];
    });
    return [
      {
        userId,
        state: status,
        creationDate: addedAt,
        secretIds: secrets.map((secret) => secret.secretId),
        keyIds: [...keyIds],
        organizationId,
        userName,
        name,
        description,
        accessTokenType,
        roles,
      },
    ];
  });
}

function membersOf(state: InstanceState | OrganizationState): Members {
  return 'members' in state ? state.members : new Map();
}

function comparable(standing: MachineUserStanding) {
  const { sequence, changeDate, secrets, keys, ...rest } = standing;
  const secretIds = secrets.map((secret) => secret.secretId);
  return { ...rest, secretIds, keyIds: keys.map((key) => key.keyId) };
}

test('as-of at every position equals a fold of the log from scratch, for all users and for one', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (given) => {
      const { eventStore, events } = await logOf(given);
      for (let length = 0; length <= events.length; length++) {
        const position = events[length - 1]?.position ?? 0n;
        const all = await Array.fromAsync(machineUsersAsOf(eventStore, position));
        expect(all.map(comparable)).toEqual(foldedFromScratch(events.slice(0, length)));
        for (const userId of userIds) {
          const one = await machineUserAsOf(eventStore, userId, position);
          expect(one).toEqual(all.find((standing) => standing.userId === userId));
        }
      }
    }),
    { numRuns: 15 },
  );
});

test('the secret that was valid then is shown with the time of its birth, not the one of now', async () => {
  const { eventStore, machineUsers, clock } = await auditedLog();
  const before = await machineUserAsOf(
    eventStore,
    'one',
    (await resolveMoment(eventStore, clock.now.toISOString())).position,
  );
  clock.advance(86_400_000);
  await machineUsers.setSecret({ userId: 'one', organizationId: 'org-1' }, context);
  const then = await resolveMoment(eventStore, new Date(clock.now.getTime() - 1000).toISOString());
  const now = await resolveMoment(eventStore, clock.now.toISOString());
  expect(await machineUserAsOf(eventStore, 'one', then.position)).toEqual(before);
  const after = await machineUserAsOf(eventStore, 'one', now.position);
  expect(after?.secrets).toEqual([{ secretId: expect.any(String), creationDate: clock.now.toISOString() }]);
  expect(after?.secrets).not.toEqual(before?.secrets);
});

test('a time means the last event that had occurred by then', async () => {
  const { eventStore } = await auditedLog();
  const events = await Array.fromAsync(eventStore.readAll());
  for (const event of events) {
    const time = String(event.metadata['occurredAt']);
    const last = events.findLast((other) => String(other.metadata['occurredAt']) <= time);
    expect(await resolveMoment(eventStore, time)).toEqual({ position: last?.position, time });
  }
  expect(await resolveMoment(eventStore, '2000-01-01')).toMatchObject({ position: 0n });
  expect(await resolveMoment(eventStore, '2999-01-01')).toMatchObject({ position: events.at(-1)?.position });
});

test('a moment is a position of the log or a time, and nothing else', async () => {
  const { eventStore } = await auditedLog();
  expect(await resolveMoment(eventStore, '3')).toMatchObject({ position: 3n });
  for (const moment of ['99', 'yesterday', '', '14:05', '2026-13-01']) {
    await expect(resolveMoment(eventStore, moment)).rejects.toThrow(AuditError);
  }
  expect(parseTime('2026-01-31 14:05:00+02:00')).toBe('2026-01-31T12:05:00.000Z');
});

test('the difference of two moments names who came, who went, and what changed of whom', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (given) => {
      const { eventStore, events } = await logOf(given);
      const head = events.at(-1)?.position ?? 0n;
      const middle = events[Math.floor(events.length / 2)]?.position ?? 0n;
      const at = (position: bigint) => machineUsersAsOf(eventStore, position);
      const [before, after] = [await Array.fromAsync(at(middle)), await Array.fromAsync(at(head))];
      const differences = await Array.fromAsync(standingDifferences(at(middle), at(head)));
      const ids = (standings: { userId: string }[]) => new Set(standings.map((standing) => standing.userId));
      const of = (kind: string) => ids(differences.filter((difference) => difference.kind === kind));
      expect(of('added')).toEqual(ids(after).difference(ids(before)));
      expect(of('removed')).toEqual(ids(before).difference(ids(after)));
      for (const { userId, fields } of differences.filter((difference) => difference.kind === 'changed')) {
        const secrets = fields.find((change) => change.field === 'secrets');
        const idsOf = (standings: MachineUserStanding[]) =>
          standings
            .find((one) => one.userId === userId)
            ?.secrets.map((secret) => secret.secretId)
            .join(' ');
        if (secrets === undefined) expect(idsOf(before)).toBe(idsOf(after));
        else expect(secrets).toMatchObject({ from: idsOf(before), to: idsOf(after) });
      }
      expect(await Array.fromAsync(standingDifferences(at(head), at(head)))).toEqual([]);
    }),
    { numRuns: 15 },
  );
});
