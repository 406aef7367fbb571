import { z } from 'zod';
import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';
import { type SecretPolicySettings, secretPolicySettingsSchema } from './policy.ts';

/** What a policy holds for: all of the instance, an organization, or one machine user. */
export type SecretPolicyScope =
  | { readonly level: 'instance' }
  | { readonly level: 'organization'; readonly organizationId: string }
  | { readonly level: 'user'; readonly userId: string; readonly organizationId: string };

/** A policy has a stream of its own, so that it is no change of the user, whose sequence stays. */
export function secretPolicyIdOf(scope: SecretPolicyScope): string {
  switch (scope.level) {
    case 'instance':
      return 'instance';
    case 'organization':
      return `organization-${scope.organizationId}`;
    case 'user':
      return `user-${scope.userId}`;
  }
}

const scopeSchema = {
  level: z.enum(['instance', 'organization', 'user']),
  /** Of the organization, or of the user's; absent for the instance. */
  organizationId: z.string().min(1).exactOptional(),
  userId: z.string().min(1).exactOptional(),
};

export const secretPolicyEventSchemas = {
  /** The whole policy of this level: what it does not name, a level further away says. */
  SecretPolicySet: {
    version: 1,
    data: z.strictObject({ ...scopeSchema, settings: secretPolicySettingsSchema }),
  },
  /** This level says nothing any more. */
  SecretPolicyReset: { version: 1, data: z.strictObject(scopeSchema) },
} as const satisfies EventSchemas;

export type SecretPolicyEvent = EventsOf<typeof secretPolicyEventSchemas>;

export interface SecretPolicyState {
  readonly settings: SecretPolicySettings;
  /** RFC 3339: when it was set for the first time. Undefined: never. */
  readonly createdAt: string | undefined;
}

export type SecretPolicyCommand =
  | { readonly type: 'SetPolicy'; readonly scope: SecretPolicyScope; readonly settings: SecretPolicySettings }
  | { readonly type: 'ResetPolicy'; readonly scope: SecretPolicyScope };

export const secretPolicyDecider: Decider<SecretPolicyCommand, SecretPolicyEvent, SecretPolicyState> = {
  initialState: { settings: {}, createdAt: undefined },

  decide(command, state) {
    if (command.type === 'ResetPolicy') {
      return isEmpty(state.settings) ? [] : [{ type: 'SecretPolicyReset', data: command.scope }];
    }
    const settings = checkedSettings(command.settings);
    if (isEmpty(settings)) {
      throw invalidPolicy('it sets nothing: reset it instead');
    }
    const isSame = Object.keys({ ...state.settings, ...settings }).every(
      (key) =>
        state.settings[key as keyof SecretPolicySettings] === settings[key as keyof SecretPolicySettings],
    );
    return isSame ? [] : [{ type: 'SecretPolicySet', data: { ...command.scope, settings } }];
  },

  evolve({ createdAt }, { type, data, occurredAt }) {
    return {
      settings: type === 'SecretPolicySet' ? data.settings : {},
      createdAt: createdAt ?? occurredAt,
    };
  },
};

function isEmpty(settings: SecretPolicySettings): boolean {
  return Object.keys(settings).length === 0;
}

/** @throws KeyturnError `SECRET_POLICY_INVALID` */
function checkedSettings(settings: SecretPolicySettings): SecretPolicySettings {
  const result = secretPolicySettingsSchema.safeParse(settings);
  if (!result.success) {
    const faults = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw invalidPolicy(faults.join(', '));
  }
  const { lifetime, maxLifetime } = result.data;
  if (lifetime !== undefined && maxLifetime !== undefined && lifetime > maxLifetime) {
    throw invalidPolicy('lifetime is longer than maxLifetime');
  }
  return result.data;
}

function invalidPolicy(reason: string): KeyturnError {
  return new KeyturnError('SECRET_POLICY_INVALID', { text: `The secret policy is invalid: ${reason}` });
}
