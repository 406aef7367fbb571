import type { MembershipScope } from '../domain/members.ts';
import type { MachineUserSearch } from '../projections/machine-user-search.ts';
import type { MachineUserView } from '../projections/machine-users.ts';
import type { MemberSearch, MemberView, OrganizationSearch } from '../projections/organization-search.ts';
import type { OrganizationView } from '../projections/organizations.ts';
import type { SearchResult } from '../projections/paged-search.ts';
import type { AccessDirectory } from './authorization.ts';

/** What the methods of the API read: the queries of the read model. */
export interface Directory extends AccessDirectory {
  defaultOrganizationId(): string | undefined;
  machineUserById(userId: string): MachineUserView | undefined;
  machineUserNameById(
    userId: string,
  ): { readonly userName: string; readonly organizationId: string } | undefined;
  machineUserByLoginName(loginName: string): MachineUserView | undefined;
  searchMachineUsers(search: MachineUserSearch): SearchResult<MachineUserView>;
  organizationById(organizationId: string): OrganizationView | undefined;
  organizationByDomainLabel(label: string): OrganizationView | undefined;
  searchOrganizations(search: OrganizationSearch): SearchResult<OrganizationView>;
  searchMembers(search: MemberSearch): SearchResult<MemberView>;
  membershipsOf(
    userId: string,
  ): readonly { readonly scope: MembershipScope; readonly roles: readonly string[] }[];
}
