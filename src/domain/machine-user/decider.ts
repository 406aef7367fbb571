import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import { normalizeUserName } from '../user-name/normalize.ts';
import type { AccessTokenType, MachineUserEvent } from './events.ts';
import { decideOnSecrets, isSecretCommand, type SecretCommand, tokensEnded } from './secret-decisions.ts';
import { type ExistingMachineUser, evolve, exists, type MachineUserState } from './state.ts';

interface MachineUserProfile {
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
}

/** Some of what can be changed, all at once. */
export interface MachineUserUpdate {
  readonly userName?: string;
  readonly name?: string;
  readonly description?: string;
}

/** Commands name the organization that they act in: a machine user of another one looks unknown. */
interface InOrganization {
  readonly organizationId: string;
}

/** From the reservation of user names, which knows no organizations. */
interface LapseUserNameClaim {
  readonly type: 'LapseUserNameClaim';
  readonly userName: string;
}

type CommandInOrganization = InOrganization &
  (
    | ({ readonly type: 'AddMachineUser'; readonly userName: string } & MachineUserProfile)
    /** Replaces the whole profile, as ZITADEL's UpdateMachine does. */
    | ({ readonly type: 'ChangeMachineUser' } & MachineUserProfile)
    | { readonly type: 'ChangeUserName'; readonly userName: string }
    /** Changes what is given and differs; nothing may be left. */
    | ({ readonly type: 'UpdateMachineUser' } & MachineUserUpdate)
    | SecretCommand
    | {
        readonly type: 'AddKey';
        readonly keyId: string;
        /** PEM, SubjectPublicKeyInfo. */
        readonly publicKey: string;
        /** RFC 3339 */
        readonly expiresAt: string;
      }
    | { readonly type: 'RemoveKey'; readonly keyId: string }
    | { readonly type: 'EndTokens' }
    /** Of a user that was removed. */
    | { readonly type: 'Erase' }
    | { readonly type: 'Deactivate' | 'Reactivate' | 'Lock' | 'Unlock' | 'Remove' }
  );

export type MachineUserCommand = CommandInOrganization | LapseUserNameClaim;

type CommandOn<Type extends MachineUserCommand['type']> = Extract<
  MachineUserCommand,
  { readonly type: Type }
>;

export const machineUserDecider: Decider<MachineUserCommand, MachineUserEvent, MachineUserState> = {
  initialState: { status: 'absent' },
  evolve,
  decide(command, state, now) {
    if (command.type === 'AddMachineUser') return add(command, state);
    if (command.type === 'LapseUserNameClaim') return lapseUserNameClaim(command, state);
    if (command.type === 'Erase') return erase(command, state);
    if (!exists(state) || state.organizationId !== command.organizationId) {
      throw new KeyturnError('USER_NOT_FOUND');
    }
    return decideOnExisting(command, state, now);
  },
};

function decideOnExisting(
  command: Exclude<CommandInOrganization, CommandOn<'AddMachineUser' | 'Erase'>>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  if (isSecretCommand(command)) return decideOnSecrets(command, user, now);
  switch (command.type) {
    case 'ChangeMachineUser':
      return change(command, user);
    case 'ChangeUserName':
      return changeUserName(command, user);
    case 'UpdateMachineUser':
      return update(command, user);
    case 'AddKey':
      return addKey(command, now);
    case 'RemoveKey':
      if (!user.keyIds.includes(command.keyId)) throw new KeyturnError('MACHINE_KEY_NOT_FOUND');
      return [{ type: 'MachineKeyRemoved', data: { keyId: command.keyId } }];
    case 'EndTokens':
      return [tokensEnded];
    case 'Deactivate':
      if (user.status === 'inactive') throw new KeyturnError('USER_ALREADY_INACTIVE');
      return [{ type: 'MachineUserDeactivated', data: {} }];
    case 'Reactivate':
      if (user.status !== 'inactive') throw new KeyturnError('USER_NOT_INACTIVE');
      return [{ type: 'MachineUserReactivated', data: {} }];
    case 'Lock':
      if (user.status !== 'active') throw new KeyturnError('USER_NOT_ACTIVE');
      return [{ type: 'MachineUserLocked', data: {} }];
    case 'Unlock':
      if (user.status !== 'locked') throw new KeyturnError('USER_NOT_LOCKED');
      return [{ type: 'MachineUserUnlocked', data: {} }];
    case 'Remove':
      return [{ type: 'MachineUserRemoved', data: {} }];
  }
}

function add(command: CommandOn<'AddMachineUser'>, state: MachineUserState): MachineUserEvent[] {
  const { organizationId, userName, name, description, accessTokenType } = command;
  if (normalizeUserName(userName) === '') throw new KeyturnError('USER_NAME_EMPTY');
  if (name.trim() === '') throw new KeyturnError('USER_DISPLAY_NAME_EMPTY');
  if (state.status !== 'absent') throw new KeyturnError('USER_ALREADY_EXISTS');
  return [
    {
      type: 'MachineUserAdded',
      data: { organizationId, userName: userName.trim(), name, description, accessTokenType },
    },
  ];
}

function change(command: CommandOn<'ChangeMachineUser'>, user: ExistingMachineUser): MachineUserEvent[] {
  const events = changesOfProfile(command, user);
  if (events.length === 0) throw new KeyturnError('USER_NOT_CHANGED');
  return events;
}

function update(command: CommandOn<'UpdateMachineUser'>, user: ExistingMachineUser): MachineUserEvent[] {
  const userName = command.userName?.trim();
  if (userName !== undefined && normalizeUserName(userName) === '') throw new KeyturnError('USER_NAME_EMPTY');
  const renamed = userName !== undefined && userName !== user.userName;
  return [
    ...(renamed ? [{ type: 'MachineUserNameChanged', data: { userName } } as const] : []),
    ...changesOfProfile({ ...user, ...command }, user),
  ];
}

function changesOfProfile(profile: MachineUserProfile, user: ExistingMachineUser): MachineUserEvent[] {
  const { name, description, accessTokenType } = profile;
  if (name.trim() === '') throw new KeyturnError('USER_DISPLAY_NAME_EMPTY');
  const changed = {
    ...(name !== user.name && { name }),
    ...(description !== user.description && { description }),
    ...(accessTokenType !== user.accessTokenType && { accessTokenType }),
  };
  return Object.keys(changed).length === 0 ? [] : [{ type: 'MachineUserChanged', data: changed }];
}

function changeUserName(command: CommandOn<'ChangeUserName'>, user: ExistingMachineUser): MachineUserEvent[] {
  const userName = command.userName.trim();
  if (normalizeUserName(userName) === '') throw new KeyturnError('USER_NAME_EMPTY');
  if (userName === user.userName) throw new KeyturnError('USER_NAME_NOT_CHANGED');
  return [{ type: 'MachineUserNameChanged', data: { userName } }];
}

/**
 * Ends a claim on a user name that this user does not use. The event moves the stream's revision on, so that
 * an addition or renaming under way, which relies on the claim, conflicts and looks at the claim again.
 */
function lapseUserNameClaim(command: LapseUserNameClaim, state: MachineUserState): MachineUserEvent[] {
  if (state.status === 'removed') return [];
  const userName = normalizeUserName(command.userName);
  if (exists(state) && normalizeUserName(state.userName) === userName) {
    throw new KeyturnError('USER_NAME_TAKEN');
  }
  return [{ type: 'MachineUserNameClaimLapsed', data: { userName } }];
}

function erase({ organizationId }: CommandOn<'Erase'>, state: MachineUserState): MachineUserEvent[] {
  if (state.status === 'absent' || state.organizationId !== organizationId) {
    throw new KeyturnError('USER_NOT_FOUND');
  }
  if (state.status !== 'removed') throw new KeyturnError('USER_NOT_REMOVED');
  return state.erasedAt === undefined ? [{ type: 'MachineUserErased', data: {} }] : [];
}

function addKey({ keyId, publicKey, expiresAt }: CommandOn<'AddKey'>, now: string): MachineUserEvent[] {
  if (Date.parse(expiresAt) <= Date.parse(now)) throw new KeyturnError('MACHINE_KEY_EXPIRED');
  return [{ type: 'MachineKeyAdded', data: { keyId, publicKey, expiresAt } }];
}
