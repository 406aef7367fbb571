import { z } from 'zod';
import type { Decider, Occurred } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';
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
  SigningKeyAdded: {
    version: 1,
    data: z.strictObject({
      keyId: id,
      algorithm: z.literal('ES256'),
      /** The public JWK (RFC 7517). */
      publicKey: z.record(z.string(), z.string()),
      /** The private JWK as a compact JWE (RFC 7516, `dir` with A256GCM) under the master key. */
      encryptedPrivateKey: z.string().min(1),
    }),
  },
} as const satisfies EventSchemas;

export type InstanceEvent = EventsOf<typeof instanceEventSchemas>;
type SigningKey = Extract<InstanceEvent, { type: 'SigningKeyAdded' }>['data'];
export type InstanceSetUp = z.output<typeof setUpSchema>;

export type InstanceState =
  | { readonly status: 'absent' }
  | (InstanceSetUp & {
      readonly status: 'starting' | 'set up';
      readonly members: Members;
      readonly signingKeyIds: readonly string[];
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
  | ({ readonly type: 'AddSigningKey' } & SigningKey);

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
        return [{ type: 'InstanceMemberChanged', data: { userId: command.userId, roles } }];
      }
      case 'RemoveMember':
        requireMember(members, command.userId);
        return [{ type: 'InstanceMemberRemoved', data: { userId: command.userId } }];
      case 'AddSigningKey': {
        const { type: _, ...signingKey } = command;
        if (state.signingKeyIds.includes(signingKey.keyId))
          throw new KeyturnError('SIGNING_KEY_ALREADY_EXISTS');
        return [{ type: 'SigningKeyAdded', data: signingKey }];
      }
    }
  },

  evolve(state: InstanceState, event: Occurred<InstanceEvent>): InstanceState {
    if (event.type === 'InstanceSetUpStarted') {
      return { ...event.data, status: 'starting', members: noMembers, signingKeyIds: [] };
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
      case 'SigningKeyAdded':
        return { ...state, signingKeyIds: [...state.signingKeyIds, event.data.keyId] };
    }
  },
};
