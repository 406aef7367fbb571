import { z } from 'zod';
import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

const owner = z.strictObject({ userId: z.string().min(1) });

/** A user name's stream says which user holds it: that makes the name unique without a lock or a transaction over streams. */
export const userNameEventSchemas = {
  UserNameClaimed: { version: 1, data: owner },
  UserNameReleased: { version: 1, data: owner },
} as const satisfies EventSchemas;

export type UserNameEvent = EventsOf<typeof userNameEventSchemas>;

export type UserNameState =
  | { readonly status: 'free' }
  | { readonly status: 'claimed'; readonly userId: string; readonly claimedAt: string };

export type UserNameCommand =
  /** Claiming again for the same user renews the claim, which a takeover that is under way then notices. */
  | { readonly type: 'ClaimUserName'; readonly userId: string }
  | { readonly type: 'ReleaseUserName'; readonly userId: string }
  | { readonly type: 'TakeOverUserName'; readonly userId: string; readonly lapsedUserId: string };

export const userNameDecider: Decider<UserNameCommand, UserNameEvent, UserNameState> = {
  initialState: { status: 'free' },

  decide(command, state) {
    const { userId } = command;
    const claimed: UserNameEvent = { type: 'UserNameClaimed', data: { userId } };
    const holder = state.status === 'claimed' ? state.userId : undefined;
    switch (command.type) {
      case 'ClaimUserName':
        if (holder !== undefined && holder !== userId) throw new KeyturnError('USER_NAME_TAKEN');
        return [claimed];
      case 'ReleaseUserName':
        return holder === userId ? [{ type: 'UserNameReleased', data: { userId } }] : [];
      case 'TakeOverUserName':
        if (holder !== command.lapsedUserId) throw new KeyturnError('USER_NAME_TAKEN');
        return [{ type: 'UserNameReleased', data: { userId: holder } }, claimed];
    }
  },

  evolve(_state, event) {
    return event.type === 'UserNameClaimed'
      ? { status: 'claimed', userId: event.data.userId, claimedAt: event.occurredAt }
      : { status: 'free' };
  },
};
