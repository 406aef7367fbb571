import { describe, it } from 'vitest';
import { type InstanceEvent, instanceDecider } from '../../src/domain/instance/decider.ts';
import { specification } from '../support/given-when-then.ts';

const { given } = specification(instanceDecider);

const plan = { projectId: 'p', organizationId: 'o', adminUserId: 'a' };
const started: InstanceEvent = { type: 'InstanceSetUpStarted', data: plan };
const setUp: InstanceEvent = { type: 'InstanceSetUp', data: {} };
const memberAdded: InstanceEvent = {
  type: 'InstanceMemberAdded',
  data: { userId: 'a', roles: ['IAM_OWNER'] },
};
const key = { keyId: 'k', algorithm: 'ES256', publicKey: { kty: 'EC' }, encryptedPrivateKey: 'jwe' } as const;
const keyAdded: InstanceEvent = { type: 'SigningKeyAdded', data: key };

describe('the set-up of an instance', () => {
  it('starts once, with a plan of all that it makes', () =>
    given()
      .when({ type: 'StartSetUp', ...plan })
      .thenEvents(started));
  it('does not start again', () =>
    given(started)
      .when({ type: 'StartSetUp', ...plan })
      .thenError('INSTANCE_ALREADY_SET_UP'));
  it('is completed', () => given(started).when({ type: 'CompleteSetUp' }).thenEvents(setUp));
  it('is completed once', () => given(started, setUp).when({ type: 'CompleteSetUp' }).thenEvents());
  it('cannot be completed before it starts', () =>
    given().when({ type: 'CompleteSetUp' }).thenError('INSTANCE_NOT_SET_UP'));
});

describe('the members of an instance', () => {
  const member = { userId: 'a', roles: ['IAM_OWNER'] };

  it('are added with roles of the instance', () =>
    given(started)
      .when({ type: 'AddMember', ...member })
      .thenEvents(memberAdded));
  it('are refused with roles of an organization', () =>
    given(started)
      .when({ type: 'AddMember', userId: 'a', roles: ['ORG_OWNER'] })
      .thenError('MEMBER_ROLES_INVALID'));
  it('are added once', () =>
    given(started, memberAdded)
      .when({ type: 'AddMember', ...member })
      .thenError('MEMBER_ALREADY_EXISTS'));
  it('change their roles', () =>
    given(started, memberAdded)
      .when({ type: 'ChangeMember', userId: 'a', roles: ['IAM_OWNER_VIEWER'] })
      .thenEvents({ type: 'InstanceMemberChanged', data: { userId: 'a', roles: ['IAM_OWNER_VIEWER'] } }));
  it('are removed', () =>
    given(started, memberAdded)
      .when({ type: 'RemoveMember', userId: 'a' })
      .thenEvents({ type: 'InstanceMemberRemoved', data: { userId: 'a' } }));
  it('must be members to be removed', () =>
    given(started).when({ type: 'RemoveMember', userId: 'a' }).thenError('MEMBER_NOT_FOUND'));
});

describe('the signing keys of an instance', () => {
  it('are added', () =>
    given(started)
      .when({ type: 'AddSigningKey', ...key })
      .thenEvents(keyAdded));
  it('have ids of their own', () =>
    given(started, keyAdded)
      .when({ type: 'AddSigningKey', ...key })
      .thenError('SIGNING_KEY_ALREADY_EXISTS'));
});
