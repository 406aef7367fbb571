import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { UserService } from '#generated/zitadel/user/v2/user_service_pb.js';
import type { MachineUserReference, MachineUsers } from '../../application/machine-users.ts';
import { type Members, removeMachineUser } from '../../application/members.ts';
import { KeyturnError } from '../../domain/errors.ts';
import { permissionsOf } from '../../domain/roles.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import type { Authorizer, Caller } from '../authorization.ts';
import type { Directory } from '../directory.ts';
import { sortFieldOf } from '../management/user-query-methods.ts';
import { listDetails, type ReadModelProgress } from '../messages/list-details.ts';
import { pageOf } from '../messages/list-query.ts';
import { detailsOfV2, toUserOfV2 } from '../messages/machine-user.ts';
import { machineUserQueryOf } from '../messages/machine-user-query.ts';
import { endTokensOf } from '../rpc/end-tokens-header.ts';
import { implement, type RpcService } from '../rpc/method.ts';
import { entityTagOf, withPrecondition } from '../rpc/precondition.ts';

export interface UserServiceDependencies {
  readonly machineUsers: MachineUsers;
  readonly members: Members;
  readonly directory: Directory;
  readonly progress: () => ReadModelProgress;
  readonly authorizer: Authorizer;
}

const { method } = UserService;

/**
 * zitadel.user.v2.UserService, as far as it is about machine users.
 *
 * Its methods act in the organization of the user, whichever that is: the permission is checked there. Four of them have
 * their REST paths here, because the published descriptors leave them out.
 */
export function userService(dependencies: UserServiceDependencies): RpcService {
  const { machineUsers, directory, progress, authorizer } = dependencies;

  /** Who has no role in a user's organization cannot tell it from one that does not exist. */
  const findUser = (userId: string, caller: Caller, permission: string): MachineUserView => {
    const user = directory.machineUserById(userId);
    if (user === undefined || directory.rolesOf(caller.userId, user.organizationId).length === 0) {
      throw new KeyturnError('USER_NOT_FOUND');
    }
    authorizer.requirePermissionIn(user.organizationId, caller, permission);
    return user;
  };
  const userToWrite = (userId: string, caller: Caller): MachineUserReference =>
    findUser(userId, caller, 'user.write');

  return {
    descriptor: UserService,
    publishedDescriptor: async () =>
      (await import('@zitadel/proto/zitadel/user/v2/user_service_pb.js')).UserService,
    basePath: '',
    pathPrefix: '/v2/',
    scope: 'organization',
    methods: [
      implement(
        method.createUser,
        async ({ organizationId, userId, username, userType }, { caller, context }) => {
          authorizer.requirePermissionIn(organizationId, caller, 'user.write');
          if (!directory.organizationExists(organizationId)) throw new KeyturnError('ORGANIZATION_NOT_FOUND');
          if (userType.case !== 'machine') throw new KeyturnError('USER_NOT_MACHINE');
          const { name, description = '' } = userType.value;
          const added = await machineUsers.add(
            {
              organizationId,
              ...(userId !== undefined && { userId }),
              ...(username !== undefined && { userName: username }),
              name,
              description,
              accessTokenType: 'bearer',
            },
            context,
          );
          return { id: added.userId, creationDate: timestampOf(added.details.creationDate) };
        },
        { verb: 'POST', path: '/v2/users/new', body: '*' },
      ),

      implement(
        method.updateUser,
        async ({ userId, username, userType }, { caller, context }) => {
          const user = userToWrite(userId, caller);
          if (userType.case === 'human') throw new KeyturnError('USER_NOT_MACHINE');
          const { name, description } = userType.value ?? {};
          await machineUsers.update(
            user,
            {
              ...(username !== undefined && { userName: username }),
              ...(name !== undefined && { name }),
              ...(description !== undefined && { description }),
            },
            context,
          );
          // Not that of the command: it may have found nothing to change.
          return { changeDate: timestampOf(findUser(userId, caller, 'user.write').changeDate) };
        },
        { verb: 'PATCH', path: '/v2/users/{user_id}', body: '*' },
      ),

      implement(
        method.addSecret,
        async ({ userId }, call) => {
          const user = userToWrite(userId, call.caller);
          const { clientSecret, details } = await withPrecondition(call, (expectedSequence) =>
            machineUsers.setSecret(user, call.context, { expectedSequence, endTokens: endTokensOf(call) }),
          );
          return { creationDate: timestampOf(details.creationDate), clientSecret };
        },
        { verb: 'POST', path: '/v2/users/{user_id}/secret', body: '*' },
      ),

      implement(
        method.removeSecret,
        async ({ userId }, call) => {
          const user = userToWrite(userId, call.caller);
          const { details } = await withPrecondition(call, async (expectedSequence) => ({
            details: await machineUsers.removeSecret(user, call.context, {
              expectedSequence,
              endTokens: endTokensOf(call),
            }),
          }));
          return { deletionDate: timestampOf(details.changeDate) };
        },
        { verb: 'DELETE', path: '/v2/users/{user_id}/secret', body: '' },
      ),

      /** Everyone may read themselves. */
      implement(method.getUserByID, async ({ userId }, { caller, responseHeaders }) => {
        const self = userId === caller.userId ? directory.machineUserById(userId) : undefined;
        const user = self ?? findUser(userId, caller, 'user.read');
        responseHeaders.set('etag', entityTagOf(user.sequence));
        return {
          details: detailsOfV2({ ...user, resourceOwner: user.organizationId }),
          user: toUserOfV2(user),
        };
      }),

      /** The users that the caller may read, in all organizations. */
      implement(method.listUsers, async ({ query, sortingColumn, queries }, { caller }) => {
        const { total, items } = directory.searchMachineUsers({
          organizationIds: organizationsToRead(directory, caller),
          query: machineUserQueryOf(queries),
          sortBy: sortFieldOf(sortingColumn),
          ...pageOf(query),
        });
        return { details: listDetails(total, progress()).v2, sortingColumn, result: items.map(toUserOfV2) };
      }),

      implement(method.deactivateUser, async ({ userId }, { caller, context }) => {
        return { details: detailsOfV2(await machineUsers.deactivate(userToWrite(userId, caller), context)) };
      }),

      implement(method.reactivateUser, async ({ userId }, { caller, context }) => {
        return { details: detailsOfV2(await machineUsers.reactivate(userToWrite(userId, caller), context)) };
      }),

      implement(method.lockUser, async ({ userId }, { caller, context }) => {
        return { details: detailsOfV2(await machineUsers.lock(userToWrite(userId, caller), context)) };
      }),

      implement(method.unlockUser, async ({ userId }, { caller, context }) => {
        return { details: detailsOfV2(await machineUsers.unlock(userToWrite(userId, caller), context)) };
      }),

      implement(method.deleteUser, async ({ userId }, { caller, context }) => {
        const user = findUser(userId, caller, 'user.delete');
        return { details: detailsOfV2(await removeMachineUser(dependencies, user, context)) };
      }),
    ],
  };
}

/** Undefined: all. */
function organizationsToRead(directory: Directory, { userId }: Caller): readonly string[] | undefined {
  const readable = directory
    .membershipsOf(userId)
    .filter(({ roles }) => permissionsOf(roles).has('user.read'))
    .map(({ scope }) => scope);
  if (readable.includes('instance')) return undefined;
  return readable.flatMap((scope) => (scope === 'instance' ? [] : scope.organizationId));
}

function timestampOf(date: string) {
  return timestampFromDate(new Date(date));
}
