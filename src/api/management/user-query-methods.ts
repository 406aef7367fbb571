import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { ManagementService } from '#generated/zitadel/management_pb.js';
import { UserFieldName } from '#generated/zitadel/user_pb.js';
import type { MachineUserChanges } from '../../application/machine-user-changes.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserSearch } from '../../projections/machine-user-search.ts';
import type { Directory } from '../directory.ts';
import { languageOf, localizedEventType } from '../messages/event-names.ts';
import { listDetails, type ReadModelProgress } from '../messages/list-details.ts';
import { limitOf, pageOf, storable } from '../messages/list-query.ts';
import { toUser } from '../messages/machine-user.ts';
import { machineUserQueryOf } from '../messages/machine-user-query.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';
import { entityTagOf } from '../rpc/precondition.ts';
import { userIn } from './user-in.ts';

export interface UserQueryDependencies {
  readonly directory: Directory;
  readonly changes: MachineUserChanges;
  readonly progress: () => ReadModelProgress;
}

const { method } = ManagementService;

/** By UserFieldName, the same numbers in v1 and v2. All users are of one type, and have no names of people. */
export function sortFieldOf(field: UserFieldName | number): MachineUserSearch['sortBy'] {
  switch (field) {
    case UserFieldName.USER_NAME:
      return 'userName';
    case UserFieldName.DISPLAY_NAME:
      return 'name';
    case UserFieldName.STATE:
      return 'state';
    default:
      return 'creationDate';
  }
}

/** What reads machine users: the methods of zitadel.management.v1.ManagementService. */
export function userQueryMethods({ directory, changes, progress }: UserQueryDependencies): RpcMethod[] {
  return [
    implement(method.getUserByID, async ({ id }, { caller, responseHeaders }) => {
      const user = userIn(directory, id, caller.organizationId);
      responseHeaders.set('etag', entityTagOf(user.sequence));
      return { user: toUser(user) };
    }),

    implement(method.getUserByLoginNameGlobal, async ({ loginName }) => {
      const user = directory.machineUserByLoginName(loginName);
      if (user === undefined) throw new KeyturnError('USER_NOT_FOUND');
      return { user: toUser(user) };
    }),

    /** There are no e-mail addresses that could be taken. */
    implement(method.isUserUnique, async ({ userName }) => {
      return { isUnique: directory.machineUserByLoginName(userName) === undefined };
    }),

    implement(method.listUsers, async ({ query, sortingColumn, queries }, { caller }) => {
      const { total, items } = directory.searchMachineUsers({
        organizationIds: [caller.organizationId],
        query: machineUserQueryOf(queries),
        sortBy: sortFieldOf(sortingColumn),
        ...pageOf(query),
      });
      return { details: listDetails(total, progress()).v1, sortingColumn, result: items.map(toUser) };
    }),

    implement(method.listUserChanges, async ({ userId, query }, { caller, requestHeader }) => {
      const language = languageOf(requestHeader('accept-language'));
      const listed = await changes.list({
        userId,
        organizationId: caller.organizationId,
        after: storable(query?.sequence ?? 0n, 'query.sequence'),
        ascending: query?.asc ?? false,
        limit: limitOf(query?.limit ?? 0, 'query.limit'),
      });
      return {
        result: listed.map(({ occurredAt, type, sequence, editorId }) => {
          const editor = editorId === undefined ? undefined : directory.machineUserById(editorId);
          return {
            changeDate: timestampFromDate(new Date(occurredAt)),
            eventType: localizedEventType(type, language),
            sequence,
            editorId: editorId ?? '',
            editorDisplayName: editor?.name ?? '',
            editorPreferredLoginName: editor?.userName ?? '',
            resourceOwnerId: caller.organizationId,
          };
        }),
      };
    }),
  ];
}
