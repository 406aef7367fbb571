import { MachineUserService } from '#generated/keyturn/v1/machine_user_pb.js';
import type { Erasures } from '../../application/erasures.ts';
import type { MachineUsers } from '../../application/machine-users.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineSecretsView } from '../../projections/machine-secrets.ts';
import { timestampOf, toMachineSecret } from '../messages/machine-secret.ts';
import { implement, type RpcService } from '../rpc/method.ts';

export interface MachineSecretDirectory {
  machineUserById(userId: string): { readonly organizationId: string } | undefined;
  machineSecretsOf(userId: string): MachineSecretsView | undefined;
}

export interface OwnMachineUserServiceDependencies {
  readonly machineUsers: MachineUsers;
  readonly erasures: Erasures;
  readonly directory: MachineSecretDirectory;
}

const { method } = MachineUserService;

/** keyturn.v1.MachineUserService: what ZITADEL's management API has no place for. */
export function ownMachineUserService({
  machineUsers,
  erasures,
  directory,
}: OwnMachineUserServiceDependencies): RpcService {
  return {
    descriptor: MachineUserService,
    basePath: '/keyturn/v1',
    scope: 'organization',
    methods: [
      implement(method.listMachineSecrets, async ({ userId }, { caller }) => {
        const owner = directory.machineUserById(userId)?.organizationId;
        const view = directory.machineSecretsOf(userId);
        if (owner !== caller.organizationId || view === undefined) throw new KeyturnError('USER_NOT_FOUND');
        const { secrets, failedChecks } = view;
        return {
          result: secrets.map(toMachineSecret),
          failedChecks: BigInt(failedChecks.count),
          ...(failedChecks.last !== null && {
            lastFailedCheckDate: timestampOf(failedChecks.last),
          }),
        };
      }),

      implement(method.endTokens, async ({ userId }, { caller, context }) => {
        const { organizationId } = caller;
        const { sequence, changeDate } = await machineUsers.endTokens({ userId, organizationId }, context);
        return { sequence, changeDate: timestampOf(changeDate) };
      }),

      implement(method.eraseUser, async ({ userId }, { caller, context }) => {
        const { organizationId } = caller;
        const erased = await erasures.erase({ userId, organizationId }, context);
        const { sequence, erasedAt, eventsInTheClear, needsScavenge } = erased;
        return { sequence, erasureDate: timestampOf(erasedAt), eventsInTheClear, needsScavenge };
      }),
    ],
  };
}
