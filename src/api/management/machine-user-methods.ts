import { ManagementService } from '#generated/zitadel/management_pb.js';
import type { MachineUserReference, MachineUsers } from '../../application/machine-users.ts';
import { type Members, removeMachineUser } from '../../application/members.ts';
import type { Directory } from '../directory.ts';
import { accessTokenTypeOf } from '../messages/machine-user.ts';
import { objectDetails } from '../messages/object-details.ts';
import { endTokensOf } from '../rpc/end-tokens-header.ts';
import { type Call, implement, type RpcMethod } from '../rpc/method.ts';
import { withPrecondition } from '../rpc/precondition.ts';
import { userNameIn } from './user-in.ts';

export interface MachineUserMethodDependencies {
  readonly machineUsers: MachineUsers;
  readonly members: Members;
  readonly directory: Directory;
}

const { method } = ManagementService;

/** What changes machine users: the methods of zitadel.management.v1.ManagementService. */
export function machineUserMethods(dependencies: MachineUserMethodDependencies): RpcMethod[] {
  const { machineUsers, directory } = dependencies;

  return [
    implement(method.addMachineUser, async (request, { caller, context }) => {
      const { userId, userName, name, description, accessTokenType } = request;
      const added = await machineUsers.add(
        {
          ...(userId !== undefined && { userId }),
          organizationId: caller.organizationId,
          userName,
          name,
          description,
          accessTokenType: accessTokenTypeOf(accessTokenType),
        },
        context,
      );
      return { userId: added.userId, details: objectDetails(added.details) };
    }),

    implement(method.updateMachine, async ({ userId, name, description, accessTokenType }, call) => {
      const profile = { name, description, accessTokenType: accessTokenTypeOf(accessTokenType) };
      const details = await machineUsers.change(reference(userId, call), profile, call.context);
      return { details: objectDetails(details) };
    }),

    implement(method.updateUserName, async ({ userId, userName }, call) => {
      const details = await machineUsers.changeUserName(reference(userId, call), userName, call.context);
      return { details: objectDetails(details) };
    }),

    implement(method.generateMachineSecret, async ({ userId }, call) => {
      // Before the secret is hashed, and for the client id.
      const clientId = userNameIn(directory, userId, call.caller.organizationId);
      const { clientSecret, details } = await withPrecondition(call, (expectedSequence) =>
        machineUsers.setSecret(reference(userId, call), call.context, {
          expectedSequence,
          endTokens: endTokensOf(call),
        }),
      );
      return { clientId, clientSecret, details: objectDetails(details) };
    }),

    implement(method.removeMachineSecret, async ({ userId }, call) => {
      const { details } = await withPrecondition(call, async (expectedSequence) => ({
        details: await machineUsers.removeSecret(reference(userId, call), call.context, {
          expectedSequence,
          endTokens: endTokensOf(call),
        }),
      }));
      return { details: objectDetails(details) };
    }),

    implement(method.deactivateUser, async ({ id }, call) => {
      return { details: objectDetails(await machineUsers.deactivate(reference(id, call), call.context)) };
    }),

    implement(method.reactivateUser, async ({ id }, call) => {
      return { details: objectDetails(await machineUsers.reactivate(reference(id, call), call.context)) };
    }),

    implement(method.lockUser, async ({ id }, call) => {
      return { details: objectDetails(await machineUsers.lock(reference(id, call), call.context)) };
    }),

    implement(method.unlockUser, async ({ id }, call) => {
      return { details: objectDetails(await machineUsers.unlock(reference(id, call), call.context)) };
    }),

    implement(method.removeUser, async ({ id }, call) => {
      const details = await removeMachineUser(dependencies, reference(id, call), call.context);
      return { details: objectDetails(details) };
    }),
  ];
}

/** The user in the organization that the call acts in. */
function reference(userId: string, { caller }: Call): MachineUserReference {
  return { userId, organizationId: caller.organizationId };
}
