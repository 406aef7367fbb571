import { AdminService } from '#generated/zitadel/admin_pb.js';
import { MemberFieldColumnName } from '#generated/zitadel/member_pb.js';
import { OrgFieldName, type OrgQuery, OrgState } from '#generated/zitadel/org_pb.js';
import type { Members } from '../../application/members.ts';
import { instanceId } from '../../domain/aggregates.ts';
import type { MemberSearch, OrganizationQuery } from '../../projections/organization-search.ts';
import type { Directory } from '../directory.ts';
import { listDetails, type ReadModelProgress } from '../messages/list-details.ts';
import { pageOf, requireFewQueries } from '../messages/list-query.ts';
import { memberIdsOf } from '../messages/member-query.ts';
import { objectDetails } from '../messages/object-details.ts';
import { toMember, toOrg } from '../messages/organization.ts';
import { textMethodOf } from '../messages/text-method.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';

export interface InstanceMethodDependencies {
  readonly members: Members;
  readonly directory: Directory;
  readonly progress: () => ReadModelProgress;
  /** What an organization's domain ends with. */
  readonly instanceDomain: () => string;
}

const { method } = AdminService;

/** All organizations, and the members of the instance. */
export function instanceMethods(dependencies: InstanceMethodDependencies): RpcMethod[] {
  const { members, directory, progress, instanceDomain } = dependencies;

  return [
    implement(method.listOrgs, async ({ query, sortingColumn, queries }) => {
      requireFewQueries(queries);
      const { total, items } = directory.searchOrganizations({
        queries: queries.map(organizationQueryOf),
        sortBy: sortingColumn === OrgFieldName.NAME ? 'name' : 'creationDate',
        instanceDomain: instanceDomain(),
        ...pageOf(query),
      });
      const result = items.map((organization) => toOrg(organization, instanceDomain()));
      return { details: listDetails(total, progress()).v1, sortingColumn, result };
    }),

    implement(method.addIAMMember, async ({ userId, roles }, { context }) => {
      return { details: objectDetails(await members.add('instance', { userId, roles }, context)) };
    }),

    implement(method.updateIAMMember, async ({ userId, roles }, { context }) => {
      return { details: objectDetails(await members.change('instance', { userId, roles }, context)) };
    }),

    implement(method.removeIAMMember, async ({ userId }, { context }) => {
      return { details: objectDetails(await members.remove('instance', userId, context)) };
    }),

    implement(method.listIAMMembers, async ({ query, queries, sortingColumn }) => {
      const { total, items } = directory.searchMembers({
        scope: 'instance',
        userIds: memberIdsOf(queries),
        sortBy: memberSortFieldOf(sortingColumn),
        ...pageOf(query),
      });
      return {
        details: listDetails(total, progress()).v1,
        result: items.map((member) => toMember(member, instanceId)),
      };
    }),
  ];
}

function organizationQueryOf({ query }: OrgQuery): OrganizationQuery {
  switch (query.case) {
    case 'nameQuery':
      return { kind: 'text', field: 'name', value: query.value.name, ...textMethodOf(query.value.method) };
    case 'domainQuery':
      return {
        kind: 'text',
        field: 'domain',
        value: query.value.domain,
        ...textMethodOf(query.value.method),
      };
    case 'idQuery':
      return { kind: 'id', organizationId: query.value.id };
    case 'stateQuery':
      return stateQueryOf(query.value.state);
    case undefined:
      return { kind: 'none' };
  }
}

function stateQueryOf(state: OrgState): OrganizationQuery {
  if (state === OrgState.ACTIVE) return { kind: 'state', state: 'active' };
  return state === OrgState.INACTIVE ? { kind: 'state', state: 'inactive' } : { kind: 'none' };
}

function memberSortFieldOf(column: MemberFieldColumnName): MemberSearch['sortBy'] {
  switch (column) {
    case MemberFieldColumnName.MEMBER_FIELD_NAME_USER_ID:
      return 'userId';
    case MemberFieldColumnName.MEMBER_FIELD_NAME_CHANGE_DATE:
      return 'changeDate';
    default:
      return 'creationDate';
  }
}
