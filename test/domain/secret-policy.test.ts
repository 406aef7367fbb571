import { describe, expect, it } from 'vitest';
import { type SecretPolicyEvent, secretPolicyDecider } from '../../src/domain/secret-policy/decider.ts';
import { defaultSecretPolicy, effectiveSecretPolicy } from '../../src/domain/secret-policy/policy.ts';
import { specification } from '../support/given-when-then.ts';

const { given } = specification(secretPolicyDecider);
const scope = { level: 'organization', organizationId: 'org-1' } as const;
const set = (settings: Extract<SecretPolicyEvent, { type: 'SecretPolicySet' }>['data']['settings']) =>
  ({ type: 'SecretPolicySet', data: { ...scope, settings } }) as const;

describe('a secret policy', () => {
  const setPolicy = { type: 'SetPolicy', scope, settings: { overlap: 60 } } as const;
  const reset = { type: 'ResetPolicy', scope } as const;

  it('is set as a whole', () => {
    given()
      .when(setPolicy)
      .thenEvents(set({ overlap: 60 }));
    given(set({ lifetime: 9 }))
      .when(setPolicy)
      .thenEvents(set({ overlap: 60 }));
    given(set({ overlap: 60 }))
      .when(setPolicy)
      .thenEvents();
  });
  it('is reset', () => {
    given(set({ overlap: 60 }))
      .when(reset)
      .thenEvents({ type: 'SecretPolicyReset', data: scope });
    given().when(reset).thenEvents();
  });
  it.each([
    [{}],
    [{ overlap: -1 }],
    [{ overlap: 0.5 }],
    [{ lifetime: 0 }],
    [{ maxLiveSecrets: 0 }],
    [{ maxLiveSecrets: 21 }],
    [{ lifetime: 10, maxLifetime: 9 }],
  ])('%j is refused', (settings) =>
    given()
      .when({ ...setPolicy, settings })
      .thenError('SECRET_POLICY_INVALID'),
  );
});

describe('the policy that holds', () => {
  it('is what ZITADEL does, where nobody says anything', () =>
    expect(effectiveSecretPolicy([{}, {}])).toEqual(defaultSecretPolicy));
  it('takes each setting from the nearest level that has it', () =>
    expect(
      effectiveSecretPolicy([
        { overlap: 0 },
        { overlap: 60, lifetime: 5 },
        { lifetime: 9, maxLiveSecrets: 3 },
      ]),
    ).toEqual({ ...defaultSecretPolicy, overlap: 0, lifetime: 5, maxLiveSecrets: 3 }));
});
