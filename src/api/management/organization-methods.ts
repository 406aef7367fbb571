import { ManagementService } from '#generated/zitadel/management_pb.js';
import type { Members } from '../../application/members.ts';
import type { Organizations } from '../../application/organizations.ts';
import { KeyturnError } from '../../domain/errors.ts';
import { organizationRoles } from '../../domain/roles.ts';
import type { OrganizationView } from '../../projections/organizations.ts';
import type { Directory } from '../directory.ts';
import { listDetails, type ReadModelProgress } from '../messages/list-details.ts';
import { pageOf } from '../messages/list-query.ts';
import { memberIdsOf } from '../messages/member-query.ts';
import { objectDetails } from '../messages/object-details.ts';
import { toMember, toOrg } from '../messages/organization.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';

export interface OrganizationMethodDependencies {
  readonly organizations: Organizations;
  readonly members: Members;
  readonly directory: Directory;
  readonly progress: () => ReadModelProgress;
  /** What an organization's domain ends with. */
  readonly instanceDomain: () => string;
}

const { method } = ManagementService;

/** Organizations and their members: the methods of zitadel.management.v1.ManagementService. */
export function organizationMethods(dependencies: OrganizationMethodDependencies): RpcMethod[] {
  const { organizations, members, directory, progress, instanceDomain } = dependencies;
  const answer = (organization: OrganizationView | undefined) => {
    if (organization === undefined) throw new KeyturnError('ORGANIZATION_NOT_FOUND');
    return { org: toOrg(organization, instanceDomain()) };
  };

  return [
    implement(method.getIAM, async () => ({
      iamProjectId: directory.managementProjectId() ?? '',
      defaultOrgId: directory.defaultOrganizationId() ?? '',
    })),

    implement(method.getMyOrg, async (_request, { caller }) => {
      return answer(directory.organizationById(caller.organizationId));
    }),

    implement(method.getOrgByDomainGlobal, async ({ domain }) => {
      const ending = `.${instanceDomain()}`;
      const wanted = domain.toLowerCase();
      const label = wanted.endsWith(ending) ? wanted.slice(0, -ending.length) : undefined;
      return answer(label === undefined ? undefined : directory.organizationByDomainLabel(label));
    }),

    implement(method.addOrg, async ({ name }, { context }) => {
      const { organizationId, details } = await organizations.add(name, context);
      return { id: organizationId, details: objectDetails(details) };
    }),

    implement(method.deactivateOrg, async (_request, { caller, context }) => {
      return { details: objectDetails(await organizations.deactivate(caller.organizationId, context)) };
    }),

    implement(method.reactivateOrg, async (_request, { caller, context }) => {
      return { details: objectDetails(await organizations.reactivate(caller.organizationId, context)) };
    }),

    implement(method.addOrgMember, async ({ userId, roles }, { caller, context }) => {
      return { details: objectDetails(await members.add(caller, { userId, roles }, context)) };
    }),

    implement(method.updateOrgMember, async ({ userId, roles }, { caller, context }) => {
      return { details: objectDetails(await members.change(caller, { userId, roles }, context)) };
    }),

    implement(method.removeOrgMember, async ({ userId }, { caller, context }) => {
      return { details: objectDetails(await members.remove(caller, userId, context)) };
    }),

    implement(method.listOrgMembers, async ({ query, queries }, { caller }) => {
      const { organizationId } = caller;
      const { total, items } = directory.searchMembers({
        scope: { organizationId },
        userIds: memberIdsOf(queries),
        sortBy: 'creationDate',
        ...pageOf(query),
      });
      return {
        details: listDetails(total, progress()).v1,
        result: items.map((member) => toMember(member, organizationId)),
      };
    }),

    implement(method.listOrgMemberRoles, async () => ({ result: organizationRoles })),
  ];
}
