import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { fold, type Occurred } from '../../src/domain/decider.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import {
  type OrganizationCommand,
  type OrganizationEvent,
  organizationDecider,
} from '../../src/domain/organization/decider.ts';
import { domainLabelOf } from '../../src/domain/organization/domain-label.ts';
import { givenTime, occurred, specification } from '../support/given-when-then.ts';

const { given } = specification(organizationDecider);

const added: OrganizationEvent = { type: 'OrganizationAdded', data: { name: 'ACME' } };
const memberAdded: OrganizationEvent = {
  type: 'OrganizationMemberAdded',
  data: { userId: 'u1', roles: ['ORG_OWNER'] },
};
const memberRemoved: OrganizationEvent = { type: 'OrganizationMemberRemoved', data: { userId: 'u1' } };

describe('AddOrganization', () => {
  const add = { type: 'AddOrganization', name: ' ACME ' } as const;

  it('adds an organization by its trimmed name', () => given().when(add).thenEvents(added));
  it('refuses a blank name', () =>
    given()
      .when({ ...add, name: ' ' })
      .thenError('ORGANIZATION_NAME_EMPTY'));
  it('refuses an id in use', () => given(added).when(add).thenError('ORGANIZATION_ALREADY_EXISTS'));
});

describe('AddMember', () => {
  const add = { type: 'AddMember', userId: 'u1', roles: ['ORG_OWNER'] } as const;

  it('adds a member', () => given(added).when(add).thenEvents(memberAdded));
  it('stores each role once, in a stable order', () =>
    given(added)
      .when({ ...add, roles: ['ORG_USER_MANAGER', 'ORG_OWNER', 'ORG_USER_MANAGER'] })
      .thenEvents({
        type: 'OrganizationMemberAdded',
        data: { userId: 'u1', roles: ['ORG_OWNER', 'ORG_USER_MANAGER'] },
      }));
  it('refuses a role of the instance', () =>
    given(added)
      .when({ ...add, roles: ['IAM_OWNER'] })
      .thenError('MEMBER_ROLES_INVALID'));
  it('refuses a role named like a property of every object', () =>
    given(added)
      .when({ ...add, roles: ['constructor'] })
      .thenError('MEMBER_ROLES_INVALID'));
  it('refuses no role at all', () =>
    given(added)
      .when({ ...add, roles: [] })
      .thenError('MEMBER_ROLES_INVALID'));
  it('refuses to add a member twice', () =>
    given(added, memberAdded).when(add).thenError('MEMBER_ALREADY_EXISTS'));
  it('needs the organization', () => given().when(add).thenError('ORGANIZATION_NOT_FOUND'));
});

describe('ChangeMember', () => {
  const change = { type: 'ChangeMember', userId: 'u1', roles: ['ORG_OWNER_VIEWER'] } as const;

  it('changes the roles', () =>
    given(added, memberAdded)
      .when(change)
      .thenEvents({
        type: 'OrganizationMemberChanged',
        data: { userId: 'u1', roles: ['ORG_OWNER_VIEWER'] },
      }));
  it('refuses the same roles', () =>
    given(added, memberAdded)
      .when({ ...change, roles: ['ORG_OWNER'] })
      .thenError('MEMBER_NOT_CHANGED'));
  it('refuses who is no member', () => given(added).when(change).thenError('MEMBER_NOT_FOUND'));
});

describe('RemoveMember', () => {
  const remove = { type: 'RemoveMember', userId: 'u1' } as const;

  it('removes a member', () => given(added, memberAdded).when(remove).thenEvents(memberRemoved));
  it('refuses who is no member', () =>
    given(added, memberAdded, memberRemoved).when(remove).thenError('MEMBER_NOT_FOUND'));
});

const anyMember = {
  userId: fc.constantFrom('u1', 'u2', 'u3'),
  roles: fc.array(fc.constantFrom('ORG_OWNER', 'ORG_USER_MANAGER', 'IAM_OWNER')),
};
const anyCommand = fc.oneof(
  fc.record({ type: fc.constant('AddOrganization'), name: fc.constantFrom('', 'ACME') }),
  fc.record({ type: fc.constantFrom('AddMember', 'ChangeMember', 'RemoveMember'), ...anyMember }),
) as fc.Arbitrary<OrganizationCommand>;

test('any sequence of commands folds to the same state one by one and replayed', () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 40 }), (commands) => {
      const history: Occurred<OrganizationEvent>[] = [];
      let state = organizationDecider.initialState;
      for (const command of commands) {
        try {
          const events = organizationDecider
            .decide(command, state, givenTime)
            .map((event) => occurred(event));
          history.push(...events);
          state = fold(organizationDecider, events, state);
        } catch (error) {
          if (!(error instanceof KeyturnError)) throw error;
        }
      }
      const stored = JSON.parse(JSON.stringify(history)) as typeof history;
      expect(fold(organizationDecider, stored)).toEqual(state);
    }),
  );
});

describe('an organization', () => {
  const deactivated: OrganizationEvent = { type: 'OrganizationDeactivated', data: {} };
  const reactivated: OrganizationEvent = { type: 'OrganizationReactivated', data: {} };

  it('is deactivated', () => given(added).when({ type: 'Deactivate' }).thenEvents(deactivated));
  it('is deactivated once', () =>
    given(added, deactivated).when({ type: 'Deactivate' }).thenError('ORGANIZATION_ALREADY_INACTIVE'));
  it('is reactivated', () => given(added, deactivated).when({ type: 'Reactivate' }).thenEvents(reactivated));
  it('is reactivated once', () =>
    given(added, deactivated, reactivated)
      .when({ type: 'Reactivate' })
      .thenError('ORGANIZATION_ALREADY_ACTIVE'));
  it('must exist to be deactivated', () =>
    given().when({ type: 'Deactivate' }).thenError('ORGANIZATION_NOT_FOUND'));
  it('keeps its members while it is inactive', () =>
    given(added, deactivated)
      .when({ type: 'AddMember', userId: 'u1', roles: ['ORG_OWNER'] })
      .thenEvents(memberAdded));
});

test.each([
  ['ACME', 'acme'],
  [' Acme & Söhne GmbH ', 'acme-sohne-gmbh'],
  ['a'.repeat(80), 'a'.repeat(63)],
  ['会社', ''],
])('the domain label of %j is %j', (name, label) => {
  expect(domainLabelOf(name)).toBe(label);
});
