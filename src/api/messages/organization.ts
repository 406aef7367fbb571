import type { MessageInitShape } from '@bufbuild/protobuf';
import type { MemberSchema } from '#generated/zitadel/member_pb.js';
import { type OrgSchema, OrgState } from '#generated/zitadel/org_pb.js';
import { Type } from '#generated/zitadel/user_pb.js';
import type { MemberView } from '../../projections/organization-search.ts';
import type { OrganizationView } from '../../projections/organizations.ts';
import { objectDetails } from './object-details.ts';

/** zitadel.org.v1.Org */
export function toOrg(
  organization: OrganizationView,
  instanceDomain: string,
): MessageInitShape<typeof OrgSchema> {
  return {
    id: organization.organizationId,
    details: objectDetails({ ...organization, resourceOwner: organization.organizationId }),
    state: organization.state === 'active' ? OrgState.ACTIVE : OrgState.INACTIVE,
    name: organization.name,
    primaryDomain: `${organization.domainLabel}.${instanceDomain}`,
  };
}

/** zitadel.member.v1.Member, of an organization or of the instance. */
export function toMember(member: MemberView, resourceOwner: string): MessageInitShape<typeof MemberSchema> {
  return {
    userId: member.userId,
    details: objectDetails({ ...member, resourceOwner }),
    roles: [...member.roles],
    preferredLoginName: member.userName ?? '',
    displayName: member.name ?? '',
    userType: Type.MACHINE,
    userResourceOwner: member.userOrganizationId ?? '',
  };
}
