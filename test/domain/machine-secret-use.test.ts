import { describe, it } from 'vitest';
import {
  type MachineSecretUseEvent,
  machineSecretUseDecider,
} from '../../src/domain/machine-secret-use/decider.ts';
import { givenTime, specification } from '../support/given-when-then.ts';

const { given } = specification(machineSecretUseDecider);
const later = (milliseconds: number) => new Date(Date.parse(givenTime) + milliseconds).toISOString();
const minute = 60_000;

const used: MachineSecretUseEvent = { type: 'MachineSecretUsed', data: { secretId: 'one' } };
const failed: MachineSecretUseEvent = { type: 'MachineSecretCheckFailed', data: { count: 3 } };

describe('the use of a secret', () => {
  const use = (now: string, secretId = 'one') => ({ type: 'RecordUse', secretId, now }) as const;

  it('is recorded', () => given().when(use(givenTime)).thenEvents(used));
  it('is recorded once an hour', () =>
    given(used)
      .when(use(later(60 * minute - 1)))
      .thenEvents());
  it('is recorded again after an hour', () =>
    given(used)
      .when(use(later(60 * minute)))
      .thenEvents(used));
  it('is recorded for each secret', () =>
    given(used)
      .when(use(givenTime, 'two'))
      .thenEvents({ type: 'MachineSecretUsed', data: { secretId: 'two' } }));
});

describe('the use of a replaced secret', () => {
  const use = (now: string) => ({ type: 'RecordUse', secretId: 'one', isReplaced: true, now }) as const;
  const usedLate: MachineSecretUseEvent = {
    type: 'MachineSecretUsedAfterReplacement',
    data: { secretId: 'one' },
  };

  it('is told, also of one whose use was recorded just before', () => {
    given().when(use(givenTime)).thenEvents(used, usedLate);
    given(used).when(use(givenTime)).thenEvents(usedLate);
  });
  it('is told once an hour', () =>
    given(used, usedLate)
      .when(use(later(60 * minute - 1)))
      .thenEvents());
  it('is told again after an hour', () =>
    given(used, usedLate)
      .when(use(later(60 * minute)))
      .thenEvents(used, usedLate));
});

describe('failed checks', () => {
  const fail = (now: string) => ({ type: 'RecordFailures', count: 3, now }) as const;

  it('are recorded', () => given().when(fail(givenTime)).thenEvents(failed));
  it('are recorded once a minute, by all nodes together', () =>
    given(failed, used)
      .when(fail(later(minute - 1)))
      .thenEvents());
  it('are recorded again after a minute', () =>
    given(failed)
      .when(fail(later(minute)))
      .thenEvents(failed));
});
