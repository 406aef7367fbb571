import { z } from 'zod';
import type { Decider } from '../decider.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

/**
 * Access tokens are no events: to issue one writes nothing. A token gets a stream of its own, named by its id (`jti`), only
 * when it is revoked before it expires.
 */
export const accessTokenEventSchemas = {
  AccessTokenRevoked: {
    version: 1,
    data: z.strictObject({
      userId: z.string().min(1),
      /** RFC 3339: nobody needs to know of the revocation any more after that. */
      expiresAt: z.iso.datetime({ precision: 3 }),
    }),
  },
} as const satisfies EventSchemas;

export type AccessTokenEvent = EventsOf<typeof accessTokenEventSchemas>;

export interface AccessTokenState {
  readonly isRevoked: boolean;
}

export interface AccessTokenCommand {
  readonly type: 'Revoke';
  readonly userId: string;
  readonly expiresAt: string;
}

export const accessTokenDecider: Decider<AccessTokenCommand, AccessTokenEvent, AccessTokenState> = {
  initialState: { isRevoked: false },

  decide({ userId, expiresAt }, { isRevoked }) {
    return isRevoked ? [] : [{ type: 'AccessTokenRevoked', data: { userId, expiresAt } }];
  },

  evolve() {
    return { isRevoked: true };
  },
};
