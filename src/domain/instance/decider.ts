import { z } from 'zod';
import type { Decider, Occurred } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import { type EventSchemas, type EventsOf, unchanged } from '../event-schema.ts';
import {
  type Members,
  memberRemovedSchema,
  memberSchema,
  noMembers,
  requireMember,
  rolesOfChangedMember,
  rolesOfNewMember,
  withMember,
  withoutMember,
} from '../members.ts';
import { isInstanceRole } from '../roles.ts';
import { type SigningKeyTimes, signingKeyAddedSchema } from './signing-keys.ts';

const id = z.string().min(1);

const setUpSchema = z.strictObject({
  /** Stands in a token's audience for the right to call the management API, as ZITADEL's own project id does. */
  projectId: id,
  organizationId: id,
  adminUserId: id,
});

export const instanceEventSchemas = {
  /** Names all that the set-up makes, so that one that was cut off is finished instead of begun again. */
  InstanceSetUpStarted: { version: 1, data: setUpSchema },
  InstanceSetUp: { version: 1, data: z.strictObject({}) },
  InstanceMemberAdded: { version: 1, data: memberSchema },
  InstanceMemberChanged: { version: 1, data: memberSchema },
  InstanceMemberRemoved: { version: 1, data: memberRemovedSchema },
  /** Version 1 knew ES256 only, and keys that sign at once. */
  SigningKeyAdded: { version: 2, data: signingKeyAddedSchema, upcasts: { 1: unchanged } },
  /** The key signs no more, and what it signed counts for nothing: it was, or may have been, stolen. */
  SigningKeyRevoked: { version: 1, data: z.strictObject({ keyId: id }) },
  /** The same key under another master key. */
  SigningKeyReencrypted: {
    version: 1,
    data: z.strictObject({ keyId: id, encryptedPrivateKey: z.string().min(1) }),
  },
} as const satisfies EventSchemas;

export type InstanceEvent = EventsOf<typeof instanceEventSchemas>;
type SigningKey = Extract<InstanceEvent, { type: 'SigningKeyAdded' }>['data'];
export type InstanceSetUp = z.output<typeof setUpSchema>;

export type InstanceState =
  | { readonly status: 'absent' }
  | (InstanceSetUp & {
      readonly status: 'starting' | 'set up';
      readonly addedAt: string;
      readonly members: Members;
      /** Oldest first, without the revoked ones. */
      readonly signingKeys: readonly SigningKeyTimes[];
      readonly revokedKeyIds: readonly string[];
    });

export type InstanceCommand =
  | ({ readonly type: 'StartSetUp' } & InstanceSetUp)
  | { readonly type: 'CompleteSetUp' }
  | {
      readonly type: 'AddMember' | 'ChangeMember';
      readonly userId: string;
      readonly roles: readonly string[];
    }
  | { readonly type: 'RemoveMember'; readonly userId: string }
  | ({
      readonly type: 'AddSigningKey';
      /** The newest key that the caller knows of. When there is a newer one already, nothing is added. */
      readonly after: string | undefined;
      /** Withdraws all keys before it, and so every token that they signed. */
      readonly revokesOthers?: boolean;
    } & SigningKey)
  | { readonly type: 'ReencryptSigningKey'; readonly keyId: string; readonly encryptedPrivateKey: string };

export const ownerRole = 'IAM_OWNER';

export const instanceDecider: Decider<InstanceCommand, InstanceEvent, InstanceState> = {
  initialState: { status: 'absent' },

  decide(command, state) {
    if (command.type === 'StartSetUp') {
      if (state.status !== 'absent') throw new KeyturnError('INSTANCE_ALREADY_SET_UP');
      const { projectId, organizationId, adminUserId } = command;
      return [{ type: 'InstanceSetUpStarted', data: { projectId, organizationId, adminUserId } }];
    }
    if (state.status === 'absent') throw new KeyturnError('INSTANCE_NOT_SET_UP');
    const { members } = state;
    switch (command.type) {
      case 'CompleteSetUp':
        return state.status === 'starting' ? [{ type: 'InstanceSetUp', data: {} }] : [];
      case 'AddMember': {
        const roles = rolesOfNewMember(members, command.userId, command.roles, isInstanceRole);
        return [{ type: 'InstanceMemberAdded', data: { userId: command.userId, roles } }];
      }
      case 'ChangeMember': {
        const roles = rolesOfChangedMember(members, command.userId, command.roles, isInstanceRole);
        if (!roles.includes(ownerRole)) requireAnotherOwner(members, command.userId);
        return [{ type: 'InstanceMemberChanged', data: { userId: command.userId, roles } }];
      }
      case 'RemoveMember':
        requireMember(members, command.userId);
        requireAnotherOwner(members, command.userId);
        return [{ type: 'InstanceMemberRemoved', data: { userId: command.userId } }];
      case 'AddSigningKey':
        return addSigningKey(command, state);
      case 'ReencryptSigningKey': {
        const { keyId, encryptedPrivateKey } = command;
        if (!state.signingKeys.some((key) => key.keyId === keyId)) return [];
        return [{ type: 'SigningKeyReencrypted', data: { keyId, encryptedPrivateKey } }];
      }
    }
  },

  evolve(state: InstanceState, event: Occurred<InstanceEvent>): InstanceState {
    if (event.type === 'InstanceSetUpStarted') {
      return {
        ...event.data,
        status: 'starting',
        addedAt: event.occurredAt,
        members: noMembers,
        signingKeys: [],
        revokedKeyIds: [],
      };
    }
    if (state.status === 'absent') return state;
    switch (event.type) {
      case 'InstanceSetUp':
        return { ...state, status: 'set up' };
      case 'InstanceMemberAdded':
      case 'InstanceMemberChanged':
        return { ...state, members: withMember(state.members, event.data.userId, event.data.roles) };
      case 'InstanceMemberRemoved':
        return { ...state, members: withoutMember(state.members, event.data.userId) };
      case 'SigningKeyAdded': {
        const { keyId, signsFrom = event.occurredAt } = event.data;
        return { ...state, signingKeys: [...state.signingKeys, { keyId, signsFrom }] };
      }
      case 'SigningKeyRevoked': {
        const { keyId } = event.data;
        return {
          ...state,
          signingKeys: state.signingKeys.filter((key) => key.keyId !== keyId),
          revokedKeyIds: [...state.revokedKeyIds, keyId],
        };
      }
      case 'SigningKeyReencrypted':
        return state;
    }
  },
};

function addSigningKey(
  command: Extract<InstanceCommand, { readonly type: 'AddSigningKey' }>,
  { signingKeys, revokedKeyIds }: Exclude<InstanceState, { readonly status: 'absent' }>,
): InstanceEvent[] {
  const { type: _, after, revokesOthers = false, ...signingKey } = command;
  const keyIds = signingKeys.map((key) => key.keyId);
  if ([...keyIds, ...revokedKeyIds].includes(signingKey.keyId)) {
    throw new KeyturnError('SIGNING_KEY_ALREADY_EXISTS');
  }
  if (keyIds.at(-1) !== after) return [];
  const revoked = revokesOthers ? keyIds : [];
  return [
    { type: 'SigningKeyAdded', data: signingKey },
    ...revoked.map((keyId) => ({ type: 'SigningKeyRevoked' as const, data: { keyId } })),
  ];
}

/** The ids of the users with all rights in the instance. Whether they can act now is not known here. */
export function ownersOf(state: InstanceState): string[] {
  return state.status === 'absent' ? [] : ownersAmong(state.members);
}

function ownersAmong(members: Members): string[] {
  return [...members].filter(([, roles]) => roles.includes(ownerRole)).map(([owner]) => owner);
}

/** Nobody could give the role back. Throws {@link KeyturnError} `LAST_OWNER`. */
function requireAnotherOwner(members: Members, userId: string): void {
  const owners = ownersAmong(members);
  if (owners.length === 1 && owners[0] === userId) throw new KeyturnError('LAST_OWNER');
}
