import { z } from 'zod';
import type { Decider } from '../decider.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

/**
 * An assertion (RFC 7523) signed by a machine user counts once. Its stream is named by a digest of who signed it and its
 * `jti`, so that whoever appends the first event to it is the one who may use it, whichever node asks.
 */
export const clientAssertionEventSchemas = {
  ClientAssertionUsed: {
    version: 1,
    data: z.strictObject({
      userId: z.string().min(1),
      keyId: z.string().min(1),
      /** RFC 3339: nobody needs to know of the use any more after that. */
      expiresAt: z.iso.datetime({ precision: 3 }),
    }),
  },
} as const satisfies EventSchemas;

export type ClientAssertionEvent = EventsOf<typeof clientAssertionEventSchemas>;

export interface ClientAssertionState {
  readonly isUsed: boolean;
}

export type ClientAssertionCommand = { readonly type: 'Use' } & ClientAssertionEvent['data'];

export const clientAssertionDecider: Decider<
  ClientAssertionCommand,
  ClientAssertionEvent,
  ClientAssertionState
> = {
  initialState: { isUsed: false },

  decide({ userId, keyId, expiresAt }, { isUsed }) {
    return isUsed ? [] : [{ type: 'ClientAssertionUsed', data: { userId, keyId, expiresAt } }];
  },

  evolve() {
    return { isUsed: true };
  },
};
