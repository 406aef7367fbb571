import { z } from 'zod';
import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import { type EventSchemas, type EventsOf, unchanged } from '../event-schema.ts';

/**
 * That a machine user's secrets are used, and that someone tries wrong ones. A stream beside the user's own: neither
 * changes the user, and both are coarse, for otherwise every grant would be an event.
 */
export const machineSecretUseEventSchemas = {
  /** The first use within an hour; every use of a secret whose uses are counted. Version 1 knew no counts. */
  MachineSecretUsed: {
    version: 2,
    data: z.strictObject({
      secretId: z.string().min(1),
      /** How often by now, where that is limited. */
      uses: z.int().min(1).exactOptional(),
    }),
    upcasts: { 1: unchanged },
  },
  /** A secret was used that a new one has replaced: somebody has not moved on. The first time within an hour. */
  MachineSecretUsedAfterReplacement: {
    version: 1,
    data: z.strictObject({ secretId: z.string().min(1) }),
  },
  MachineSecretCheckFailed: {
    version: 1,
    /** How many checks failed since the last such event. */
    data: z.strictObject({ count: z.int().min(1) }),
  },
} as const satisfies EventSchemas;

export type MachineSecretUseEvent = EventsOf<typeof machineSecretUseEventSchemas>;

/** In milliseconds: at most one use of a secret, and one failure of a user, is recorded in each. */
export const recordedUseInterval = 60 * 60 * 1000;
export const recordedFailureInterval = 60 * 1000;

export interface MachineSecretUseState {
  /** RFC 3339, by secret id. */
  readonly lastUses: Readonly<Record<string, string>>;
  /** The same, of uses after a replacement. */
  readonly lastLateUses: Readonly<Record<string, string>>;
  /** Of secrets whose uses are counted, by secret id. */
  readonly counts: Readonly<Record<string, number>>;
  /** RFC 3339 */
  readonly lastFailure: string | undefined;
}

export type MachineSecretUseCommand =
  /** `now`: RFC 3339 */
  | {
      readonly type: 'RecordUse';
      readonly secretId: string;
      /** A new secret has replaced it. */
      readonly isReplaced?: boolean;
      readonly now: string;
    }
  /** Throws `SECRET_USED_UP` when it was used as often as it may be. */
  | { readonly type: 'CountUse'; readonly secretId: string; readonly maxUses: number }
  | { readonly type: 'RecordFailures'; readonly count: number; readonly now: string };

export const machineSecretUseDecider: Decider<
  MachineSecretUseCommand,
  MachineSecretUseEvent,
  MachineSecretUseState
> = {
  initialState: { lastUses: {}, lastLateUses: {}, counts: {}, lastFailure: undefined },

  decide(command, { lastUses, lastLateUses, counts, lastFailure }) {
    switch (command.type) {
      case 'RecordUse': {
        const { secretId, isReplaced = false, now } = command;
        const isRecent = (last: string | undefined) => isWithin(recordedUseInterval, last, now);
        const isLate = isReplaced && !isRecent(lastLateUses[secretId]);
        return [
          ...(isRecent(lastUses[secretId])
            ? []
            : [{ type: 'MachineSecretUsed', data: { secretId } } as const]),
          ...(isLate ? [{ type: 'MachineSecretUsedAfterReplacement', data: { secretId } } as const] : []),
        ];
      }
      case 'CountUse': {
        const { secretId, maxUses } = command;
        const uses = (counts[secretId] ?? 0) + 1;
        if (uses > maxUses) throw new KeyturnError('SECRET_USED_UP');
        return [{ type: 'MachineSecretUsed', data: { secretId, uses } }];
      }
      case 'RecordFailures': {
        const isRecent = isWithin(recordedFailureInterval, lastFailure, command.now);
        return isRecent ? [] : [{ type: 'MachineSecretCheckFailed', data: { count: command.count } }];
      }
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'MachineSecretUsed': {
        const { secretId, uses } = event.data;
        return {
          ...state,
          lastUses: { ...state.lastUses, [secretId]: event.occurredAt },
          counts: uses === undefined ? state.counts : { ...state.counts, [secretId]: uses },
        };
      }
      case 'MachineSecretUsedAfterReplacement':
        return {
          ...state,
          lastLateUses: { ...state.lastLateUses, [event.data.secretId]: event.occurredAt },
        };
      case 'MachineSecretCheckFailed':
        return { ...state, lastFailure: event.occurredAt };
    }
  },
};

function isWithin(interval: number, then: string | undefined, now: string): boolean {
  return then !== undefined && Date.parse(now) - Date.parse(then) < interval;
}
