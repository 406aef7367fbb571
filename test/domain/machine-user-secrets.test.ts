import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { fold, type Occurred } from '../../src/domain/decider.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import { readStoredEvent } from '../../src/domain/event-catalogue.ts';
import { type MachineUserCommand, machineUserDecider } from '../../src/domain/machine-user/decider.ts';
import type { MachineUserEvent } from '../../src/domain/machine-user/events.ts';
import { idsOf, isLive, liveSecrets } from '../../src/domain/machine-user/secrets.ts';
import {
  type ExistingMachineUser,
  exists,
  type MachineUserState,
} from '../../src/domain/machine-user/state.ts';
import {
  defaultSecretPolicy,
  type SecretPolicy,
  secondsAfter,
} from '../../src/domain/secret-policy/policy.ts';
import { givenTime, occurred, specification } from '../support/given-when-then.ts';

const { given } = specification(machineUserDecider);

const organizationId = 'org-1';
const day = 24 * 3600;
const later = (seconds: number) => secondsAfter(givenTime, seconds);
const policyWith = (policy: Partial<SecretPolicy>): SecretPolicy => ({ ...defaultSecretPolicy, ...policy });
const added: MachineUserEvent = {
  type: 'MachineUserAdded',
  data: {
    organizationId,
    userName: 'robot',
    name: 'Robot',
    description: '',
    accessTokenType: 'bearer',
  },
};
type SecretSet = Extract<MachineUserEvent, { type: 'MachineSecretSet' }>;
const secretSet = (secretId: string, data: Partial<SecretSet['data']> = {}): SecretSet => ({
  type: 'MachineSecretSet',
  data: { secretId, hashedSecret: `hash-${secretId}`, replacedSecretIds: [], ...data },
});
const retiring = (secretId: string, seconds: number) => ({
  retirements: [{ secretId, retiresAt: later(seconds) }],
});
const retired = (secretId: string, retiredAt = givenTime): MachineUserEvent => ({
  type: 'MachineSecretRetired',
  data: { secretId, retiredAt },
});
const tokensEnded: MachineUserEvent = { type: 'MachineTokensEnded', data: {} };

describe('SetSecret', () => {
  const set = (policy: Partial<SecretPolicy>) =>
    ({
      type: 'SetSecret',
      organizationId,
      secretId: 'new',
      hashedSecret: 'hash-new',
      policy: policyWith(policy),
    }) as const;

  it('lets the secret that it replaces live on for the overlap', () =>
    given(added, secretSet('one'))
      .when(set({ overlap: day }))
      .thenEvents(secretSet('new', retiring('one', day))));
  it('never makes an overlap longer that has begun', () =>
    given(added, secretSet('one'), secretSet('two', retiring('one', 10)))
      .when(set({ overlap: day, maxLiveSecrets: 3 }))
      .thenEvents(secretSet('new', retiring('two', day))));
  it('ends at once what the policy leaves no room for, the one that would retire first before others', () =>
    given(added, secretSet('one'), secretSet('two', retiring('one', 10)))
      .when(set({ overlap: day }))
      .thenEvents(secretSet('new', { replacedSecretIds: ['one'], ...retiring('two', day) })));
  it('ends all at once where one secret is allowed', () =>
    given(added, secretSet('one'))
      .when(set({ overlap: day, maxLiveSecrets: 1 }))
      .thenEvents(secretSet('new', { replacedSecretIds: ['one'] })));
  it('gives the secret the life that the policy says, and no more than it allows', () => {
    given(added)
      .when(set({ lifetime: 90 * day }))
      .thenEvents(secretSet('new', { expiresAt: later(90 * day) }));
    given(added)
      .when(set({ maxLifetime: 30 * day }))
      .thenEvents(secretSet('new', { expiresAt: later(30 * day) }));
  });
  it('ends tokens with a secret that it ends, if the policy says so', () => {
    const ending = set({ endTokens: true });
    given(added).when(ending).thenEvents(secretSet('new'));
    given(added, secretSet('one'))
      .when(ending)
      .thenEvents(tokensEnded, secretSet('new', { replacedSecretIds: ['one'] }));
  });
  it('takes a secret for ended whose time has come, although no event says so', () =>
    given(added, secretSet('one', { expiresAt: givenTime }))
      .when(set({ overlap: day }))
      .thenEvents(secretSet('new')));
});

describe('AddSecret', () => {
  const add = { type: 'AddSecret', organizationId, secretId: 'new', hashedSecret: 'hash-new' } as const;

  it('adds a secret beside the others', () =>
    given(added, secretSet('one')).when(add).thenEvents(secretSet('new')));
  it('retires the others after the overlap', () =>
    given(added, secretSet('one'))
      .when({ ...add, overlap: 60 })
      .thenEvents(secretSet('new', retiring('one', 60))));
  it('ends the others at once for an overlap of 0', () =>
    given(added, secretSet('one'))
      .when({ ...add, overlap: 0 })
      .thenEvents(secretSet('new', { replacedSecretIds: ['one'] })));
  it('is refused beyond the number that the policy allows', () =>
    given(added, secretSet('one'), secretSet('two')).when(add).thenError('SECRETS_TOO_MANY'));
  it('has room again when the time of another has come', () =>
    given(added, secretSet('one', { expiresAt: givenTime }), secretSet('two'))
      .when(add)
      .thenEvents(secretSet('new')));
  it('holds its bindings', () => {
    const bindings = { allowedNetworks: ['192.0.2.0/24'], maxUses: 3 };
    given(added)
      .when({ ...add, ...bindings })
      .thenEvents(secretSet('new', bindings));
  });
  it('refuses an expiry that has passed, or is later than the policy allows', () => {
    given(added)
      .when({ ...add, expiresAt: givenTime })
      .thenError('SECRET_EXPIRY_INVALID');
    given(added)
      .when({ ...add, expiresAt: later(day + 1), policy: policyWith({ maxLifetime: day }) })
      .thenError('SECRET_EXPIRY_INVALID');
    given(added)
      .when({ ...add, expiresAt: later(day), policy: policyWith({ maxLifetime: day }) })
      .thenEvents(secretSet('new', { expiresAt: later(day) }));
  });
  it('refuses the id of another secret, and of an imported one that has ended', () => {
    given(added, secretSet('new')).when(add).thenError('SECRET_ID_TAKEN');
    given(added, secretSet('new', { isImported: true }), secretSet('two', { replacedSecretIds: ['new'] }))
      .when({ ...add, isImported: true })
      .thenError('SECRET_ID_TAKEN');
  });
});

describe('RetireSecret', () => {
  const retire = { type: 'RetireSecret', organizationId, secretId: 'one' } as const;

  it('ends the secret', () =>
    given(added, secretSet('one'), secretSet('two')).when(retire).thenEvents(retired('one')));
  it('is refused when no other secret would stay', () => {
    given(added, secretSet('one')).when(retire).thenError('SECRET_IS_LAST');
    given(added, secretSet('two'), secretSet('one', retiring('two', 60)))
      .when(retire)
      .thenError('SECRET_IS_LAST');
  });
  it('finds no secret whose time has come', () =>
    given(added, secretSet('one', { expiresAt: givenTime }), secretSet('two'))
      .when(retire)
      .thenError('SECRET_NOT_FOUND'));
  it('ends tokens if the policy says so', () =>
    given(added, secretSet('one'), secretSet('two'))
      .when({ ...retire, policy: policyWith({ endTokens: true }) })
      .thenEvents(tokensEnded, retired('one')));
});

describe('CancelSecretRetirement', () => {
  const cancel = { type: 'CancelSecretRetirement', organizationId, secretId: 'one' } as const;

  it('keeps the secret', () =>
    given(added, secretSet('one'), secretSet('two', retiring('one', 60)))
      .when(cancel)
      .thenEvents({ type: 'MachineSecretRetirementCancelled', data: { secretId: 'one' } }));
  it('is refused for a secret that does not retire, or has', () => {
    given(added, secretSet('one')).when(cancel).thenError('SECRET_NOT_RETIRING');
    given(added, secretSet('one'), secretSet('two', retiring('one', 0)))
      .when(cancel)
      .thenError('SECRET_NOT_FOUND');
  });
});

describe('ChangeSecretExpiry', () => {
  const change = { type: 'ChangeSecretExpiry', organizationId, secretId: 'one' } as const;
  const changed = (expiresAt?: string): MachineUserEvent => ({
    type: 'MachineSecretExpiryChanged',
    data: { secretId: 'one', ...(expiresAt !== undefined && { expiresAt }) },
  });

  it('sets, moves and takes away an expiry', () => {
    given(added, secretSet('one'))
      .when({ ...change, expiresAt: later(60) })
      .thenEvents(changed(later(60)));
    given(added, secretSet('one', { expiresAt: later(60) }))
      .when({ ...change, expiresAt: undefined })
      .thenEvents(changed());
    given(added, secretSet('one', { expiresAt: later(60) }))
      .when({ ...change, expiresAt: later(60) })
      .thenEvents();
  });
  it('keeps to the life that the policy allows, from the creation of the secret on', () => {
    const policy = policyWith({ maxLifetime: day });
    given(added, secretSet('one'))
      .when({ ...change, expiresAt: later(day + 1), policy })
      .thenError('SECRET_EXPIRY_INVALID');
    given(added, secretSet('one'))
      .when({ ...change, expiresAt: undefined, policy })
      .thenEvents(changed(later(day)));
  });
});

describe('ReportLeak', () => {
  const report = { type: 'ReportLeak', organizationId, secretId: 'one', source: 'github' } as const;
  const leaked: MachineUserEvent = {
    type: 'MachineSecretLeaked',
    data: { secretId: 'one', source: 'github' },
  };

  it('ends the secret and the tokens at once, even if it is the last', () =>
    given(added, secretSet('one')).when(report).thenEvents(leaked, tokensEnded, retired('one')));
  it('only tells of it, once, if the policy says so', () => {
    const telling = { ...report, policy: policyWith({ retireLeaked: false }) };
    given(added, secretSet('one')).when(telling).thenEvents(leaked);
    given(added, secretSet('one'), leaked).when(telling).thenEvents();
  });
});

describe('RecordSecretTimes', () => {
  const record = { type: 'RecordSecretTimes', organizationId, announcedDays: [30, 7, 1] } as const;
  const expiring = (days: number, expiresAt: string): MachineUserEvent => ({
    type: 'MachineSecretExpiring',
    data: { secretId: 'one', expiresAt, daysBefore: days },
  });
  /** A year before the time at which all else in these tests happens. */
  const old = (expiresAt: string) => occurred(secretSet('one', { expiresAt }), later(-365 * day));
  const decide = (...events: Occurred<MachineUserEvent>[]) =>
    machineUserDecider.decide(
      record,
      fold(machineUserDecider, [occurred(added, later(-365 * day)), ...events]),
      givenTime,
    );

  it('states what time has done, once', () => {
    const one = secretSet('one', { expiresAt: later(-60) });
    const expired: MachineUserEvent = {
      type: 'MachineSecretExpired',
      data: { secretId: 'one', expiredAt: later(-60) },
    };
    given(added, one).when(record).thenEvents(expired);
    given(added, one, expired).when(record).thenEvents();
    given(added, secretSet('one'), secretSet('two', retiring('one', -5)))
      .when(record)
      .thenEvents(retired('one', later(-5)));
  });
  it('names what ended the secret first', () =>
    given(added, secretSet('one', { expiresAt: later(-60) }), secretSet('two', retiring('one', -90)))
      .when(record)
      .thenEvents(retired('one', later(-90))));
  it('announces an expiry days before, the most urgent only', () => {
    expect(decide(old(later(31 * day)))).toEqual([]);
    expect(decide(old(later(30 * day)))).toEqual([expiring(30, later(30 * day))]);
    expect(decide(old(later(3 * day)))).toEqual([expiring(7, later(3 * day))]);
    const announced = occurred(expiring(7, later(3 * day)));
    expect(decide(old(later(3 * day)), announced)).toEqual([]);
    expect(decide(old(later(day)), announced)).toEqual([expiring(1, later(day))]);
  });
  it('announces a changed expiry anew', () => {
    const changed: MachineUserEvent = {
      type: 'MachineSecretExpiryChanged',
      data: { secretId: 'one', expiresAt: later(5 * day) },
    };
    expect(decide(old(later(3 * day)), occurred(expiring(7, later(3 * day))), occurred(changed))).toEqual([
      expiring(7, later(5 * day)),
    ]);
  });
  it('announces nothing to a secret that was made to live no longer', () =>
    given(added, secretSet('one', { expiresAt: later(7 * day) }))
      .when(record)
      .thenEvents());
  it('ends tokens if the policy says so', () =>
    given(added, secretSet('one', { expiresAt: later(-1) }))
      .when({ ...record, policy: policyWith({ endTokens: true }) })
      .thenEvents(tokensEnded, {
        type: 'MachineSecretExpired',
        data: { secretId: 'one', expiredAt: later(-1) },
      }));
});

test('a secret of schema version 1 is read as one without an end', () => {
  const { retirements: _, ...data } = { ...secretSet('one').data };
  const event = readStoredEvent({
    id: 'e',
    type: 'MachineSecretSet',
    data,
    metadata: {
      schemaVersion: 1,
      occurredAt: givenTime,
      editor: null,
      $correlationId: 'c',
      $causationId: 'c',
      previousHash: null,
    },
  }) as Occurred<MachineUserEvent>;
  const state = fold(machineUserDecider, [occurred(added), event]) as ExistingMachineUser;
  expect(idsOf(liveSecrets(state.secrets, later(1000 * 365 * day)))).toEqual(['one']);
});

// Invariants, over random commands, policies and clocks.

const anySeconds = fc.constantFrom(0, 1, 5, 60, 3600, day, 40 * day);
const anyPolicy = fc.record({
  overlap: anySeconds,
  lifetime: fc.option(fc.constantFrom(60, day, 40 * day), { nil: undefined }),
  maxLiveSecrets: fc.integer({ min: 1, max: 4 }),
  maxLifetime: fc.option(fc.constantFrom(60, day, 40 * day), { nil: undefined }),
  endTokens: fc.boolean(),
  retireLeaked: fc.boolean(),
});
/** The ids of new secrets are made by the run, since no two are the same. */
const anyStep = fc.record({
  wait: anySeconds,
  type: fc.constantFrom(
    'SetSecret',
    'SetSecret',
    'AddSecret',
    'AddSecret',
    'RetireSecret',
    'CancelSecretRetirement',
    'RecordSecretTimes',
    'ChangeSecretExpiry',
    'ReportLeak',
    'RemoveSecret',
  ),
  /** Which of the secrets that ever were. */
  which: fc.nat(),
  overlap: fc.option(anySeconds, { nil: undefined }),
  expiresIn: fc.option(anySeconds, { nil: undefined }),
});
type Step = typeof anyStep extends fc.Arbitrary<infer One> ? One : never;

interface Moment {
  readonly time: string;
  readonly state: MachineUserState;
  readonly live: readonly string[];
  readonly step: Step;
  /** How many events there were. */
  readonly length: number;
}

/** Runs the steps; a refused one changes nothing. Notes what was live before and after each. */
function run(steps: readonly Step[], policy: SecretPolicy) {
  const history = [occurred(added)];
  let state = fold(machineUserDecider, history);
  let time = givenTime;
  const ids: string[] = [];
  const moments: Moment[] = [];
  for (const [index, step] of steps.entries()) {
    time = secondsAfter(time, step.wait);
    try {
      for (const decided of machineUserDecider.decide(
        commandOf(step, ids, `s${index}`, time, policy),
        state,
        time,
      )) {
        const happened = occurred(decided, time);
        if (happened.type === 'MachineSecretSet') ids.push(happened.data.secretId);
        history.push(happened);
        state = machineUserDecider.evolve(state, happened);
      }
    } catch (error) {
      if (!(error instanceof KeyturnError)) throw error;
    }
    moments.push({ time, state, live: liveAt(state, time), step, length: history.length });
  }
  return { history, moments };
}

function commandOf(
  { type, which, overlap, expiresIn }: Step,
  ids: readonly string[],
  newId: string,
  time: string,
  policy: SecretPolicy,
): MachineUserCommand {
  const secretId = ids[which % ids.length] ?? 'none';
  const expiresAt = expiresIn === undefined ? undefined : secondsAfter(time, expiresIn);
  const fresh = { secretId: newId, hashedSecret: `hash-${newId}`, organizationId, policy };
  switch (type) {
    case 'SetSecret':
      return { type, ...fresh };
    case 'AddSecret':
      return { type, ...fresh, overlap, expiresAt };
    case 'ChangeSecretExpiry':
      return { type, organizationId, policy, secretId, expiresAt };
    case 'ReportLeak':
      return { type, organizationId, policy, secretId, source: 'test' };
    case 'RecordSecretTimes':
      return { type, organizationId, policy, announcedDays: [30, 7, 1] };
    case 'RemoveSecret':
      return { type, organizationId };
    default:
      return { type, organizationId, policy, secretId } as MachineUserCommand;
  }
}

function liveAt(state: MachineUserState, time: string): string[] {
  return exists(state) ? idsOf(liveSecrets(state.secrets, time)) : [];
}

const anyRun = fc
  .tuple(fc.array(anyStep, { maxLength: 40 }), anyPolicy)
  .map(([steps, policy]) => ({ policy, ...run(steps, policy) }));
const runs = { numRuns: 500 };

describe('over random commands, policies and clocks', () => {
  it('there are never more live secrets than the policy allows', () => {
    fc.assert(
      fc.property(anyRun, ({ moments, policy }) => {
        for (const { live } of moments) expect(live.length).toBeLessThanOrEqual(policy.maxLiveSecrets);
      }),
      runs,
    );
  });

  it('rotation never leaves a user without a secret', () => {
    const rotating = new Set([
      'SetSecret',
      'AddSecret',
      'RetireSecret',
      'CancelSecretRetirement',
      'RecordSecretTimes',
    ]);
    const anyRotation = fc
      .tuple(
        fc.array(
          anyStep.filter(({ type }) => rotating.has(type)).map((step) => ({ ...step, expiresIn: undefined })),
          { minLength: 1, maxLength: 40 },
        ),
        anyPolicy.map((policy) => ({ ...policy, lifetime: undefined, maxLifetime: undefined })),
      )
      .map(([steps, policy]) => run([{ ...steps[0], type: 'SetSecret' } as Step, ...steps], policy));
    fc.assert(
      fc.property(anyRotation, anySeconds, ({ moments }, wait) => {
        for (const { live, state, time } of moments) {
          expect(live.length).toBeGreaterThan(0);
          expect(liveAt(state, secondsAfter(time, wait)).length).toBeGreaterThan(0);
        }
      }),
      runs,
    );
  });

  it('what has ended never comes back', () => {
    fc.assert(
      fc.property(anyRun, ({ moments }) => {
        const seen = [...new Set(moments.flatMap(({ live }) => live))];
        for (const secretId of seen) {
          const isLiveEachTime = moments.map(({ live }) => live.includes(secretId));
          const lifetime = isLiveEachTime.slice(
            isLiveEachTime.indexOf(true),
            isLiveEachTime.lastIndexOf(true),
          );
          expect(lifetime).not.toContain(false);
        }
      }),
      runs,
    );
  });

  it('a replay gives at any time the answer that it gave then', () => {
    fc.assert(
      fc.property(anyRun, ({ history, moments }) => {
        const stored = JSON.parse(JSON.stringify(history)) as typeof history;
        for (const { time, live, length } of moments) {
          expect(liveAt(fold(machineUserDecider, stored.slice(0, length)), time)).toEqual(live);
        }
      }),
      runs,
    );
  });

  it('stating what time has done changes nothing about who can sign in, then or later', () => {
    fc.assert(
      fc.property(anyRun, anySeconds, anySeconds, ({ moments, policy }, wait, rest) => {
        const last = moments.at(-1);
        if (last === undefined) return;
        const now = secondsAfter(last.time, wait);
        const record = {
          type: 'RecordSecretTimes',
          organizationId,
          announcedDays: [30, 7, 1],
          policy,
        } as const;
        const stated = machineUserDecider
          .decide(record, last.state, now)
          .map((event) => occurred(event, now));
        const state = fold(machineUserDecider, stated, last.state);
        const then = secondsAfter(now, rest);
        expect(liveAt(state, now)).toEqual(liveAt(last.state, now));
        expect(liveAt(state, then)).toEqual(liveAt(last.state, then));
        expect(machineUserDecider.decide(record, state, now)).toEqual([]);
        expect(exists(state) && state.secrets.every((secret) => isLive(secret, now))).toBe(true);
      }),
      runs,
    );
  });
});
