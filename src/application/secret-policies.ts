import { secretPolicy } from '../domain/aggregates.ts';
import { type SecretPolicyScope, secretPolicyIdOf } from '../domain/secret-policy/decider.ts';
import {
  effectiveSecretPolicy,
  type SecretPolicy,
  type SecretPolicySettings,
} from '../domain/secret-policy/policy.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { MachineUserReference } from './machine-users.ts';

export interface SecretPolicyView {
  /** What this level says itself. */
  readonly settings: SecretPolicySettings;
  /** What holds here: for each setting the nearest level that has it. */
  readonly effective: SecretPolicy;
}

/** The rules about secrets, for the instance, an organization or a machine user. */
export class SecretPolicies {
  readonly #commands: CommandHandler;

  constructor(commands: CommandHandler) {
    this.#commands = commands;
  }

  /** Asks the event store, not the read model: the policy counts from its event on, on every node. */
  async effectiveFor(user: MachineUserReference): Promise<SecretPolicy> {
    return (await this.get({ level: 'user', ...user })).effective;
  }

  async get(scope: SecretPolicyScope): Promise<SecretPolicyView> {
    const levels = await Promise.all(levelsOf(scope).map((level) => this.#settingsOf(level)));
    return { settings: levels[0] ?? {}, effective: effectiveSecretPolicy(levels) };
  }

  /** In the place of all that this level said before. Throws KeyturnError `SECRET_POLICY_INVALID`. */
  async set(
    scope: SecretPolicyScope,
    settings: SecretPolicySettings,
    context: CommandContext,
  ): Promise<SecretPolicyView> {
    await this.#execute(scope, { type: 'SetPolicy', scope, settings }, context);
    return this.get(scope);
  }

  async reset(scope: SecretPolicyScope, context: CommandContext): Promise<SecretPolicyView> {
    await this.#execute(scope, { type: 'ResetPolicy', scope }, context);
    return this.get(scope);
  }

  async #execute(
    scope: SecretPolicyScope,
    command: Parameters<typeof secretPolicy.decider.decide>[0],
    context: CommandContext,
  ): Promise<void> {
    await this.#commands.execute(secretPolicy, secretPolicyIdOf(scope), command, context);
  }

  async #settingsOf(scope: SecretPolicyScope): Promise<SecretPolicySettings> {
    return (await this.#commands.load(secretPolicy, secretPolicyIdOf(scope))).state.settings;
  }
}

/** The scope with those around it, the nearest first. */
function levelsOf(scope: SecretPolicyScope): SecretPolicyScope[] {
  const around = { level: 'instance' } as const;
  switch (scope.level) {
    case 'instance':
      return [around];
    case 'organization':
      return [scope, around];
    case 'user':
      return [scope, { level: 'organization', organizationId: scope.organizationId }, around];
  }
}
