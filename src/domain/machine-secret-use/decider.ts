import { z } from 'zod';
import type { Decider } from '../decider.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

/**
 * That a machine user's secrets are used, and that someone tries wrong ones. A stream beside the user's own: neither
 * changes the user, and both are coarse, for otherwise every grant would be an event.
 */
export const machineSecretUseEventSchemas = {
  /** The first use within an hour. */
  MachineSecretUsed: { version: 1, data: z.strictObject({ secretId: z.string().min(1) }) },
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
  /** RFC 3339 */
  readonly lastFailure: string | undefined;
}

export type MachineSecretUseCommand =
  /** `now`: RFC 3339 */
  | { readonly type: 'RecordUse'; readonly secretId: string; readonly now: string }
  | { readonly type: 'RecordFailures'; readonly count: number; readonly now: string };

export const machineSecretUseDecider: Decider<
  MachineSecretUseCommand,
  MachineSecretUseEvent,
  MachineSecretUseState
> = {
  initialState: { lastUses: {}, lastFailure: undefined },

  decide(command, { lastUses, lastFailure }) {
    switch (command.type) {
      case 'RecordUse': {
        const { secretId, now } = command;
        const isRecent = isWithin(recordedUseInterval, lastUses[secretId], now);
        return isRecent ? [] : [{ type: 'MachineSecretUsed', data: { secretId } }];
      }
      case 'RecordFailures': {
        const isRecent = isWithin(recordedFailureInterval, lastFailure, command.now);
        return isRecent ? [] : [{ type: 'MachineSecretCheckFailed', data: { count: command.count } }];
      }
    }
  },

  evolve(state, event) {
    return event.type === 'MachineSecretUsed'
      ? { ...state, lastUses: { ...state.lastUses, [event.data.secretId]: event.occurredAt } }
      : { ...state, lastFailure: event.occurredAt };
  },
};

function isWithin(interval: number, then: string | undefined, now: string): boolean {
  return then !== undefined && Date.parse(now) - Date.parse(then) < interval;
}
