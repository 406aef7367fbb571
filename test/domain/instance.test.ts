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
const secondOwnerAdded: InstanceEvent = {
  type: 'InstanceMemberAdded',
  data: { userId: 'b', roles: ['IAM_OWNER'] },
};
const key = { keyId: 'k', algorithm: 'ES256', publicKey: { kty: 'EC' }, encryptedPrivateKey: 'jwe' } as const;
const next = { ...key, keyId: 'next', signsFrom: '2026-03-01T00:00:00.000Z' } as const;
const nextAdded: InstanceEvent = { type: 'SigningKeyAdded', data: next };
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
    given(started, memberAdded, secondOwnerAdded)
      .when({ type: 'ChangeMember', userId: 'a', roles: ['IAM_OWNER_VIEWER'] })
      .thenEvents({ type: 'InstanceMemberChanged', data: { userId: 'a', roles: ['IAM_OWNER_VIEWER'] } }));
  it('are removed', () =>
    given(started, memberAdded, secondOwnerAdded)
      .when({ type: 'RemoveMember', userId: 'a' })
      .thenEvents({ type: 'InstanceMemberRemoved', data: { userId: 'a' } }));
  it.each([
    { type: 'RemoveMember', userId: 'a' },
    { type: 'ChangeMember', userId: 'a', roles: ['IAM_OWNER_VIEWER'] },
  ] as const)('keep an owner: the last one refuses $type', (command) =>
    given(started, memberAdded).when(command).thenError('LAST_OWNER'),
  );
  it('may change while one of them stays an owner', () =>
    given(started, memberAdded)
      .when({ type: 'ChangeMember', userId: 'a', roles: ['IAM_OWNER', 'IAM_USER_MANAGER'] })
      .thenEvents({
        type: 'InstanceMemberChanged',
        data: { userId: 'a', roles: ['IAM_OWNER', 'IAM_USER_MANAGER'] },
      }));
  it('must be members to be removed', () =>
    given(started).when({ type: 'RemoveMember', userId: 'a' }).thenError('MEMBER_NOT_FOUND'));
});

describe('the signing keys of an instance', () => {
  it('are added', () =>
    given(started)
      .when({ type: 'AddSigningKey', after: undefined, ...key })
      .thenEvents(keyAdded));
  it('have ids of their own', () =>
    given(started, keyAdded)
      .when({ type: 'AddSigningKey', after: 'k', ...key })
      .thenError('SIGNING_KEY_ALREADY_EXISTS'));
  it('never have the id of one that was revoked', () =>
    given(started, keyAdded, nextAdded, { type: 'SigningKeyRevoked', data: { keyId: 'k' } })
      .when({ type: 'AddSigningKey', after: 'next', ...key })
      .thenError('SIGNING_KEY_ALREADY_EXISTS'));
  it('follow one another', () =>
    given(started, keyAdded)
      .when({ type: 'AddSigningKey', after: 'k', ...next })
      .thenEvents(nextAdded));
  it('are added once when two nodes rotate at the same time', () =>
    given(started, keyAdded, nextAdded)
      .when({ type: 'AddSigningKey', after: 'k', ...next, keyId: 'late' })
      .thenEvents());
  it('are all revoked when the new one says so', () =>
    given(started, keyAdded, nextAdded)
      .when({ type: 'AddSigningKey', after: 'next', revokesOthers: true, ...key, keyId: 'fresh' })
      .thenEvents(
        { type: 'SigningKeyAdded', data: { ...key, keyId: 'fresh' } },
        { type: 'SigningKeyRevoked', data: { keyId: 'k' } },
        { type: 'SigningKeyRevoked', data: { keyId: 'next' } },
      ));
  it('are encrypted anew, if they are still in use', () => {
    const reencrypt = { type: 'ReencryptSigningKey', keyId: 'k', encryptedPrivateKey: 'new jwe' } as const;
    const { type: _, ...data } = reencrypt;
    given(started, keyAdded).when(reencrypt).thenEvents({ type: 'SigningKeyReencrypted', data });
    given(started).when(reencrypt).thenEvents();
  });
});
