import { ManagementService } from '@zitadel/proto/zitadel/management_pb.js';
import { AccessTokenType, UserState } from '@zitadel/proto/zitadel/user_pb.js';
import type { MachineUsers } from '../../application/machine-users.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import { implement, implementPublic, type RpcMethod } from '../rpc/method.ts';
import { objectDetails } from './object-details.ts';

export interface MachineUserDirectory {
  machineUserById(userId: string): MachineUserView | undefined;
}

export interface ManagementDependencies {
  readonly machineUsers: MachineUsers;
  readonly directory: MachineUserDirectory;
}

const { method } = ManagementService;

const userStates = {
  active: UserState.ACTIVE,
  inactive: UserState.INACTIVE,
  locked: UserState.LOCKED,
} as const satisfies Record<MachineUserView['state'], UserState>;

/** zitadel.management.v1.ManagementService, as far as it is about machine users. */
export function managementMethods({ machineUsers, directory }: ManagementDependencies): RpcMethod[] {
  /** A user of another organization is as unknown as one that does not exist. */
  const findUser = (userId: string, organizationId: string): MachineUserView => {
    const user = directory.machineUserById(userId);
    if (user?.organizationId !== organizationId) throw new KeyturnError('USER_NOT_FOUND');
    return user;
  };

  return [
    implementPublic(method.healthz, async () => ({})),

    implement(method.getUserByID, async ({ id }, { caller }) => {
      return { user: toUser(findUser(id, caller.organizationId)) };
    }),

    implement(method.addMachineUser, async (request, { caller, context }) => {
      const { userName, name, description, userId, accessTokenType } = request;
      const { organizationId } = caller;
      const added = await machineUsers.add(
        {
          ...(userId !== undefined && { userId }),
          organizationId,
          userName,
          name,
          description,
          accessTokenType: accessTokenType === AccessTokenType.JWT ? 'jwt' : 'bearer',
        },
        context,
      );
      return { userId: added.userId, details: objectDetails(added.details) };
    }),

    implement(method.generateMachineSecret, async ({ userId }, { caller, context }) => {
      const { organizationId } = caller;
      // Before the secret is hashed, and for the client id.
      const { userName } = findUser(userId, organizationId);
      const { clientSecret, details } = await machineUsers.setSecret({ userId, organizationId }, context);
      return { clientId: userName, clientSecret, details: objectDetails(details) };
    }),

    implement(method.removeMachineSecret, async ({ userId }, { caller, context }) => {
      const { organizationId } = caller;
      const details = await machineUsers.removeSecret({ userId, organizationId }, context);
      return { details: objectDetails(details) };
    }),
  ];
}

/** zitadel.user.v1.User. The login name is the user name, as with ZITADEL's default domain policy. */
function toUser(user: MachineUserView) {
  return {
    id: user.userId,
    details: objectDetails({ ...user, resourceOwner: user.organizationId }),
    state: userStates[user.state],
    userName: user.userName,
    loginNames: [user.userName],
    preferredLoginName: user.userName,
    type: {
      case: 'machine' as const,
      value: {
        name: user.name,
        description: user.description,
        hasSecret: user.hasSecret,
        accessTokenType: user.accessTokenType === 'jwt' ? AccessTokenType.JWT : AccessTokenType.BEARER,
      },
    },
  };
}
