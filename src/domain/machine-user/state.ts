import type { Occurred } from '../decider.ts';
import type { AccessTokenType, MachineUserEvent } from './events.ts';
import type { MachineSecret } from './secrets.ts';

export interface ExistingMachineUser {
  readonly status: 'active' | 'inactive' | 'locked';
  readonly organizationId: string;
  readonly userName: string;
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
  readonly addedAt: string;
  /** Oldest first. Those whose time has come are among them until an event states it: see `liveSecrets`. */
  readonly secrets: readonly MachineSecret[];
  /** All that ever were: such an id is given by people, and never names two secrets. */
  readonly importedSecretIds: readonly string[];
  readonly keyIds: readonly string[];
}

/** A removed machine user keeps its id for good, so that a token or log line of it never names another. */
export interface RemovedMachineUser {
  readonly status: 'removed';
  readonly organizationId: string;
  /** When its personal fields became unreadable; absent while they are not. */
  readonly erasedAt?: string;
}

export type MachineUserState = { readonly status: 'absent' } | RemovedMachineUser | ExistingMachineUser;

export function exists(state: MachineUserState): state is ExistingMachineUser {
  return state.status !== 'absent' && state.status !== 'removed';
}

export function evolve(state: MachineUserState, event: Occurred<MachineUserEvent>): MachineUserState {
  if (event.type === 'MachineUserAdded') {
    return {
      ...event.data,
      status: 'active',
      addedAt: event.occurredAt,
      secrets: [],
      importedSecretIds: [],
      keyIds: [],
    };
  }
  if (event.type === 'MachineUserErased' && state.status === 'removed') {
    return { ...state, erasedAt: event.occurredAt };
  }
  return exists(state) ? evolveExisting(state, event) : state;
}

function evolveExisting(state: ExistingMachineUser, event: Occurred<MachineUserEvent>): MachineUserState {
  switch (event.type) {
    case 'MachineUserChanged':
    case 'MachineUserNameChanged':
      return { ...state, ...event.data };
    case 'MachineSecretSet':
      return withNewSecret(state, event.data, event.occurredAt);
    case 'MachineSecretRehashed':
      return withSecret(state, event.data.secretId, (secret) => ({ ...secret, ...event.data }));
    case 'MachineSecretExpiryChanged': {
      const { secretId, expiresAt } = event.data;
      // What was announced was another expiry.
      return withSecret(state, secretId, ({ announcedDays: _, ...secret }) => ({ ...secret, expiresAt }));
    }
    case 'MachineSecretRetirementCancelled':
      return withSecret(state, event.data.secretId, ({ retiresAt: _, ...secret }) => secret);
    case 'MachineSecretExpiring': {
      const { secretId, daysBefore } = event.data;
      return withSecret(state, secretId, (secret) => ({ ...secret, announcedDays: daysBefore }));
    }
    case 'MachineSecretLeaked':
      return withSecret(state, event.data.secretId, (secret) => ({ ...secret, isLeaked: true }));
    case 'MachineSecretExpired':
    case 'MachineSecretRetired':
      return { ...state, secrets: without(state.secrets, [event.data.secretId]) };
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
      return { status: 'removed', organizationId: state.organizationId };
    case 'MachineKeyAdded':
      return { ...state, keyIds: [...state.keyIds, event.data.keyId] };
    case 'MachineKeyRemoved':
      return { ...state, keyIds: state.keyIds.filter((keyId) => keyId !== event.data.keyId) };
    case 'MachineTokensEnded':
    case 'MachineUserAdded':
    case 'MachineUserNameClaimLapsed':
    case 'MachineUserErased':
      return state;
  }
}

function withNewSecret(
  state: ExistingMachineUser,
  data: Extract<MachineUserEvent, { readonly type: 'MachineSecretSet' }>['data'],
  createdAt: string,
): ExistingMachineUser {
  const { replacedSecretIds, retirements = [], ...secret } = data;
  const retiresAt = new Map(retirements.map((one) => [one.secretId, one.retiresAt]));
  const others = without(state.secrets, replacedSecretIds).map((other) =>
    retiresAt.has(other.secretId) ? { ...other, retiresAt: retiresAt.get(other.secretId) } : other,
  );
  return {
    ...state,
    secrets: [...others, { ...secret, createdAt }],
    importedSecretIds: secret.isImported
      ? [...state.importedSecretIds, secret.secretId]
      : state.importedSecretIds,
  };
}

function withSecret(
  state: ExistingMachineUser,
  secretId: string,
  change: (secret: MachineSecret) => MachineSecret,
): ExistingMachineUser {
  const secrets = state.secrets.map((secret) => (secret.secretId === secretId ? change(secret) : secret));
  return { ...state, secrets };
}

function without(secrets: readonly MachineSecret[], secretIds: readonly string[]): readonly MachineSecret[] {
  return secrets.filter((secret) => !secretIds.includes(secret.secretId));
}
