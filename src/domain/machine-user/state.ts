import type { Occurred } from '../decider.ts';
import type { AccessTokenType, MachineUserEvent } from './events.ts';

export interface MachineSecret {
  readonly secretId: string;
  readonly hashedSecret: string;
}

export interface ExistingMachineUser {
  readonly status: 'active' | 'inactive' | 'locked';
  readonly organizationId: string;
  readonly userName: string;
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
  readonly addedAt: string;
  /** The live secrets, oldest first. One at most as long as every new secret replaces all others. */
  readonly secrets: readonly MachineSecret[];
  readonly keyIds: readonly string[];
}

/** A removed machine user keeps its id for good, so that a token or log line of it never names another. */
export type MachineUserState =
  | { readonly status: 'absent' }
  | { readonly status: 'removed' }
  | ExistingMachineUser;

export function exists(state: MachineUserState): state is ExistingMachineUser {
  return state.status !== 'absent' && state.status !== 'removed';
}

export function evolve(state: MachineUserState, event: Occurred<MachineUserEvent>): MachineUserState {
  if (event.type === 'MachineUserAdded') {
    return { ...event.data, status: 'active', addedAt: event.occurredAt, secrets: [], keyIds: [] };
  }
  return exists(state) ? evolveExisting(state, event) : state;
}

function evolveExisting(state: ExistingMachineUser, event: MachineUserEvent): MachineUserState {
  switch (event.type) {
    case 'MachineUserChanged':
    case 'MachineUserNameChanged':
      return { ...state, ...event.data };
    case 'MachineSecretSet': {
      const { replacedSecretIds, ...secret } = event.data;
      return { ...state, secrets: [...without(state.secrets, replacedSecretIds), secret] };
    }
    case 'MachineSecretRehashed':
      return {
        ...state,
        secrets: state.secrets.map((secret) =>
          secret.secretId === event.data.secretId ? { ...secret, ...event.data } : secret,
        ),
      };
    case 'MachineSecretRemoved':
      return { ...state, secrets: without(state.secrets, event.data.secretIds) };
    case 'MachineUserDeactivated':
      return { ...state, status: 'inactive' };
    case 'MachineUserLocked':
      return { ...state, status: 'locked' };
    case 'MachineUserReactivated':
    case 'MachineUserUnlocked':
      return { ...state, status: 'active' };
    case 'MachineUserRemoved':
      return { status: 'removed' };
    case 'MachineKeyAdded':
      return { ...state, keyIds: [...state.keyIds, event.data.keyId] };
    case 'MachineKeyRemoved':
      return { ...state, keyIds: state.keyIds.filter((keyId) => keyId !== event.data.keyId) };
    case 'MachineTokensEnded':
    case 'MachineUserAdded':
    case 'MachineUserNameClaimLapsed':
      return state;
  }
}

function without(secrets: readonly MachineSecret[], secretIds: readonly string[]): readonly MachineSecret[] {
  return secrets.filter((secret) => !secretIds.includes(secret.secretId));
}
