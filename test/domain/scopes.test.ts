import { expect, test } from 'vitest';
import { grantScopes } from '../../src/domain/scopes.ts';

const user = { projectId: 'management', organizationId: 'own' };

test.each([
  ['openid profile', ['openid', 'profile'], []],
  ['openid openid', ['openid'], []],
  ['openid unheard', ['openid'], []],
  [
    'urn:zitadel:iam:org:project:id:zitadel:aud',
    ['urn:zitadel:iam:org:project:id:zitadel:aud'],
    ['management'],
  ],
  ['urn:zitadel:iam:org:project:id:42:aud', ['urn:zitadel:iam:org:project:id:42:aud'], ['42']],
  ['urn:zitadel:iam:org:project:id::aud', [], []],
  ['urn:zitadel:iam:org:id:own', ['urn:zitadel:iam:org:id:own'], []],
  ['urn:zitadel:iam:org:id:other', [], []],
  ['urn:zitadel:iam:org:project:role:admin', ['urn:zitadel:iam:org:project:role:admin'], []],
  ['urn:zitadel:iam:org:project:role:', [], []],
])('of %j, %j are granted, for the audience %j', (requested, scopes, audience) => {
  expect(grantScopes(requested, user)).toEqual({ scopes, audience });
});
