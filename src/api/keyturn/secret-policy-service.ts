import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  InstanceSecretPolicyService,
  SecretPolicyService,
  type SecretPolicySettings,
  type SecretPolicySettingsSchema,
} from '#generated/keyturn/v1/secret_policy_pb.js';
import type { SecretPolicies, SecretPolicyView } from '../../application/secret-policies.ts';
import type { SecretPolicyScope } from '../../domain/secret-policy/decider.ts';
import type {
  SecretPolicySettings as DomainSettings,
  SecretPolicy,
} from '../../domain/secret-policy/policy.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import { userIn } from '../management/user-in.ts';
import { durationOf, secondsOf } from '../messages/machine-secret.ts';
import { type Call, implement, type RpcService } from '../rpc/method.ts';

export interface SecretPolicyServiceDependencies {
  readonly secretPolicies: SecretPolicies;
  readonly directory: { machineUserById(userId: string): MachineUserView | undefined };
}

/** keyturn.v1.SecretPolicyService */
export function secretPolicyService({
  secretPolicies,
  directory,
}: SecretPolicyServiceDependencies): RpcService {
  const { method } = SecretPolicyService;
  const ofOrganization = ({ caller }: Call): SecretPolicyScope => ({
    level: 'organization',
    organizationId: caller.organizationId,
  });
  const ofUser = (userId: string, { caller }: Call): SecretPolicyScope => {
    const { organizationId } = userIn(directory, userId, caller.organizationId);
    return { level: 'user', userId, organizationId };
  };
  return {
    descriptor: SecretPolicyService,
    basePath: '/keyturn/v1',
    scope: 'organization',
    methods: [
      implement(method.getOrganizationSecretPolicy, async (_, call) =>
        toSecretPolicy(await secretPolicies.get(ofOrganization(call))),
      ),
      implement(method.setOrganizationSecretPolicy, async ({ settings }, call) =>
        toSecretPolicy(await secretPolicies.set(ofOrganization(call), settingsOf(settings), call.context)),
      ),
      implement(method.resetOrganizationSecretPolicy, async (_, call) =>
        toSecretPolicy(await secretPolicies.reset(ofOrganization(call), call.context)),
      ),
      implement(method.getUserSecretPolicy, async ({ userId }, call) =>
        toSecretPolicy(await secretPolicies.get(ofUser(userId, call))),
      ),
      implement(method.setUserSecretPolicy, async ({ userId, settings }, call) =>
        toSecretPolicy(await secretPolicies.set(ofUser(userId, call), settingsOf(settings), call.context)),
      ),
      implement(method.resetUserSecretPolicy, async ({ userId }, call) =>
        toSecretPolicy(await secretPolicies.reset(ofUser(userId, call), call.context)),
      ),
    ],
  };
}

/** keyturn.v1.InstanceSecretPolicyService */
export function instanceSecretPolicyService({
  secretPolicies,
}: Pick<SecretPolicyServiceDependencies, 'secretPolicies'>): RpcService {
  const { method } = InstanceSecretPolicyService;
  const scope = { level: 'instance' } as const;
  return {
    descriptor: InstanceSecretPolicyService,
    basePath: '/keyturn/v1',
    scope: 'instance',
    methods: [
      implement(method.getInstanceSecretPolicy, async () => toSecretPolicy(await secretPolicies.get(scope))),
      implement(method.setInstanceSecretPolicy, async ({ settings }, { context }) =>
        toSecretPolicy(await secretPolicies.set(scope, settingsOf(settings), context)),
      ),
      implement(method.resetInstanceSecretPolicy, async (_, { context }) =>
        toSecretPolicy(await secretPolicies.reset(scope, context)),
      ),
    ],
  };
}

/** keyturn.v1.SecretPolicy */
function toSecretPolicy({ settings, effective }: SecretPolicyView) {
  return { settings: toSettings(settings), effective: toSettings(effective) };
}

function toSettings(
  settings: DomainSettings | SecretPolicy,
): MessageInitShape<typeof SecretPolicySettingsSchema> {
  const { overlap, lifetime, maxLifetime, maxLiveSecrets, endTokens, retireLeaked } = settings;
  return {
    ...(overlap !== undefined && { overlap: durationOf(overlap) }),
    ...(lifetime !== undefined && { lifetime: durationOf(lifetime) }),
    ...(maxLifetime !== undefined && { maxLifetime: durationOf(maxLifetime) }),
    ...(maxLiveSecrets !== undefined && { maxLiveSecrets }),
    ...(endTokens !== undefined && { endTokens }),
    ...(retireLeaked !== undefined && { retireLeaked }),
  };
}

function settingsOf(settings: SecretPolicySettings | undefined): DomainSettings {
  const { overlap, lifetime, maxLifetime, maxLiveSecrets, endTokens, retireLeaked } = settings ?? {};
  return {
    ...(overlap && { overlap: secondsOf(overlap, 'SecretPolicySettings.Overlap') }),
    ...(lifetime && { lifetime: secondsOf(lifetime, 'SecretPolicySettings.Lifetime') }),
    ...(maxLifetime && { maxLifetime: secondsOf(maxLifetime, 'SecretPolicySettings.MaxLifetime') }),
    ...(maxLiveSecrets !== undefined && { maxLiveSecrets }),
    ...(endTokens !== undefined && { endTokens }),
    ...(retireLeaked !== undefined && { retireLeaked }),
  };
}
