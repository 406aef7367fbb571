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
import { isOrganizationRole } from '../roles.ts';

export const organizationEventSchemas = {
  OrganizationAdded: { version: 1, data: z.strictObject({ name: z.string().min(1) }) },
  OrganizationMemberAdded: { version: 1, data: memberSchema },
  OrganizationMemberChanged: { version: 1, data: memberSchema },
  OrganizationMemberRemoved: { version: 1, data: memberRemovedSchema },
  OrganizationDeactivated: { version: 1, data: z.strictObject({}) },
  OrganizationReactivated: { version: 1, data: z.strictObject({}) },
} as const satisfies EventSchemas;

export type OrganizationEvent = EventsOf<typeof organizationEventSchemas>;

export type OrganizationState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'inactive';
      readonly name: string;
      readonly addedAt: string;
      readonly members: Members;
    };

export type OrganizationCommand =
  | { readonly type: 'AddOrganization'; readonly name: string }
  | {
      readonly type: 'AddMember' | 'ChangeMember';
      readonly userId: string;
      readonly roles: readonly string[];
    }
  | { readonly type: 'RemoveMember'; readonly userId: string }
  | { readonly type: 'Deactivate' | 'Reactivate' };

export const organizationDecider: Decider<OrganizationCommand, OrganizationEvent, OrganizationState> = {
  initialState: { status: 'absent' },

  decide(command, state) {
    if (command.type === 'AddOrganization') return add(command.name, state);
    if (state.status === 'absent') throw new KeyturnError('ORGANIZATION_NOT_FOUND');
    const { members } = state;
    switch (command.type) {
      case 'AddMember': {
        const { userId } = command;
        const roles = rolesOfNewMember(members, userId, command.roles, isOrganizationRole);
        return [{ type: 'OrganizationMemberAdded', data: { userId, roles } }];
      }
      case 'ChangeMember': {
        const { userId } = command;
        const roles = rolesOfChangedMember(members, userId, command.roles, isOrganizationRole);
        return [{ type: 'OrganizationMemberChanged', data: { userId, roles } }];
      }
      case 'RemoveMember':
        requireMember(members, command.userId);
        return [{ type: 'OrganizationMemberRemoved', data: { userId: command.userId } }];
      case 'Deactivate':
        if (state.status === 'inactive') throw new KeyturnError('ORGANIZATION_ALREADY_INACTIVE');
        return [{ type: 'OrganizationDeactivated', data: {} }];
      case 'Reactivate':
        if (state.status === 'active') throw new KeyturnError('ORGANIZATION_ALREADY_ACTIVE');
        return [{ type: 'OrganizationReactivated', data: {} }];
    }
  },

  evolve(state: OrganizationState, event: Occurred<OrganizationEvent>): OrganizationState {
    if (event.type === 'OrganizationAdded') {
      return { status: 'active', name: event.data.name, addedAt: event.occurredAt, members: noMembers };
    }
    if (state.status === 'absent') return state;
    switch (event.type) {
      case 'OrganizationMemberAdded':
      case 'OrganizationMemberChanged':
        return { ...state, members: withMember(state.members, event.data.userId, event.data.roles) };
      case 'OrganizationMemberRemoved':
        return { ...state, members: withoutMember(state.members, event.data.userId) };
      case 'OrganizationDeactivated':
        return { ...state, status: 'inactive' };
      case 'OrganizationReactivated':
        return { ...state, status: 'active' };
    }
  },
};

function add(name: string, state: OrganizationState): OrganizationEvent[] {
  const trimmed = name.trim();
  if (trimmed === '') throw new KeyturnError('ORGANIZATION_NAME_EMPTY');
  if (state.status !== 'absent') throw new KeyturnError('ORGANIZATION_ALREADY_EXISTS');
  return [{ type: 'OrganizationAdded', data: { name: trimmed } }];
}
