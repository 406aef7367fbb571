import {
  type AddMachineSecretRequest,
  type ImportMachineSecretRequest,
  MachineSecretService,
} from '#generated/keyturn/v1/machine_secret_pb.js';
import type {
  MachineSecretReference,
  MachineSecrets,
  NewMachineSecret,
} from '../../application/machine-secrets.ts';
import type { ChangeDetails } from '../../application/machine-users.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineSecretView } from '../../projections/machine-secrets.ts';
import type { Directory } from '../directory.ts';
import { userNameIn } from '../management/user-in.ts';
import { secondsOf, timeOf, timestampOf, toMachineSecret } from '../messages/machine-secret.ts';
import { type Call, implement, type RpcService } from '../rpc/method.ts';

export interface MachineSecretServiceDependencies {
  readonly machineSecrets: MachineSecrets;
  readonly directory: Pick<Directory, 'machineUserNameById'> & {
    machineSecret(userId: string, secretId: string): MachineSecretView | undefined;
  };
}

const { method } = MachineSecretService;

/** keyturn.v1.MachineSecretService: single secrets, where ZITADEL's users have one. */
export function machineSecretService({
  machineSecrets,
  directory,
}: MachineSecretServiceDependencies): RpcService {
  return {
    descriptor: MachineSecretService,
    basePath: '/keyturn/v1',
    scope: 'organization',
    methods: [
      implement(method.addMachineSecret, async (request, { caller, context }) => {
        const { userId } = request;
        const { organizationId } = caller;
        // Before the secret is hashed, and for the client id.
        const clientId = userNameIn(directory, userId, organizationId);
        const added = await machineSecrets.add({ userId, organizationId }, toNewSecret(request), context);
        return {
          id: added.secretId,
          clientId,
          clientSecret: added.clientSecret,
          change: toChange(added.details),
        };
      }),

      implement(method.importMachineSecret, async (request, { caller, context }) => {
        const { userId, id: secretId, from } = request;
        const { organizationId } = caller;
        const clientId = userNameIn(directory, userId, organizationId);
        // The field rules have seen to it.
        if (from.case === undefined) throw new TypeError('neither a secret nor a hash');
        const imported = await machineSecrets.import(
          { userId, organizationId },
          { ...toNewSecret(request), secretId, from },
          context,
        );
        return { id: imported.secretId, clientId, change: toChange(imported.details) };
      }),

      implement(method.getMachineSecret, async ({ userId, secretId }, { caller }) => {
        userNameIn(directory, userId, caller.organizationId);
        const secret = directory.machineSecret(userId, secretId);
        if (secret === undefined) throw new KeyturnError('SECRET_NOT_FOUND');
        return { secret: toMachineSecret(secret) };
      }),

      implement(method.changeMachineSecretExpiry, async ({ expirationDate, ...request }, call) => {
        const expiresAt =
          expirationDate && timeOf(expirationDate, 'ChangeMachineSecretExpiryRequest.ExpirationDate');
        return toChange(await machineSecrets.changeExpiry(reference(request, call), expiresAt, call.context));
      }),

      implement(method.retireMachineSecret, async (request, call) =>
        toChange(await machineSecrets.retire(reference(request, call), call.context)),
      ),

      implement(method.cancelMachineSecretRetirement, async (request, call) =>
        toChange(await machineSecrets.cancelRetirement(reference(request, call), call.context)),
      ),
    ],
  };
}

function toNewSecret(request: AddMachineSecretRequest | ImportMachineSecretRequest): NewMachineSecret {
  const { expirationDate, overlap, allowedNetworks, maxUses, $typeName } = request;
  return {
    expiresAt: expirationDate && timeOf(expirationDate, `${$typeName}.ExpirationDate`),
    overlap: overlap && secondsOf(overlap, `${$typeName}.Overlap`),
    allowedNetworks: allowedNetworks.length === 0 ? undefined : allowedNetworks,
    maxUses,
  };
}

/** The secret of a user in the organization that the call acts in. */
function reference(
  { userId, secretId }: { readonly userId: string; readonly secretId: string },
  { caller }: Call,
): MachineSecretReference {
  return { userId, secretId, organizationId: caller.organizationId };
}

/** keyturn.v1.MachineSecretChange */
function toChange({ sequence, changeDate }: ChangeDetails) {
  return { sequence, changeDate: timestampOf(changeDate) };
}
