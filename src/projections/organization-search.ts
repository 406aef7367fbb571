import type { DatabaseSync } from 'node:sqlite';
import type { MembershipScope } from '../domain/members.ts';
import { instanceScope, type OrganizationView, organizationColumns } from './organizations.ts';
import { type PageOptions, pagedSearch, type SearchResult } from './paged-search.ts';
import {
  allOf,
  type Condition,
  defineFoldCase,
  foldCase,
  isIn,
  never,
  sqlText,
  type TextMethod,
  textCondition,
} from './text-condition.ts';

export type OrganizationQuery =
  | {
      readonly kind: 'text';
      readonly field: 'name' | 'domain';
      readonly value: string;
      readonly method: TextMethod;
      readonly ignoreCase: boolean;
    }
  | { readonly kind: 'state'; readonly state: OrganizationView['state'] }
  | { readonly kind: 'id'; readonly organizationId: string }
  | { readonly kind: 'none' };

export interface OrganizationSearch extends PageOptions {
  /** All of them must apply. */
  readonly queries: readonly OrganizationQuery[];
  readonly sortBy: 'creationDate' | 'name';
  /** The domain of the instance: an organization's is a label before it. */
  readonly instanceDomain: string;
}

export interface MemberView {
  readonly userId: string;
  readonly roles: readonly string[];
  /** Of the user; null when the user was removed. */
  readonly userName: string | null;
  readonly name: string | null;
  readonly userOrganizationId: string | null;
  readonly sequence: bigint;
  readonly creationDate: string;
  readonly changeDate: string;
}

export interface MemberSearch extends PageOptions {
  readonly scope: MembershipScope;
  /** Undefined: all. */
  readonly userIds: readonly string[] | undefined;
  readonly sortBy: 'creationDate' | 'changeDate' | 'userId';
}

const memberSortColumns = {
  creationDate: 'creation_date',
  changeDate: 'change_date',
  userId: 'user_id',
} as const;

export function organizationSearch(db: DatabaseSync) {
  defineFoldCase(db);
  const searchOrganizations = pagedSearch(db, {
    table: 'organizations',
    key: ['organization_id'],
    columns: organizationColumns,
  });
  const searchMembers = pagedSearch(db, {
    table: 'members',
    key: ['user_id', 'organization_id'],
    columns: `u.user_id AS userId, u.roles, m.user_name AS userName, m.name,
      m.organization_id AS userOrganizationId, u.sequence, u.creation_date AS creationDate,
      u.change_date AS changeDate`,
    join: 'LEFT JOIN machine_users m ON m.user_id = u.user_id',
  });

  return {
    searchOrganizations(options: OrganizationSearch): SearchResult<OrganizationView> {
      const condition = allOf(options.queries.map((query) => conditionOf(query, options.instanceDomain)));
      const sortColumn = options.sortBy === 'name' ? 'name' : 'creation_date';
      const { total, rows } = searchOrganizations(condition, sortColumn, options);
      return { total, items: rows as unknown as OrganizationView[] };
    },

    searchMembers({ scope, userIds, sortBy, ...page }: MemberSearch): SearchResult<MemberView> {
      const organizationId = scope === 'instance' ? instanceScope : scope.organizationId;
      const inScope = textCondition('u.organization_id', organizationId, 'equals');
      const condition = userIds === undefined ? inScope : allOf([inScope, isIn('u.user_id', userIds)]);
      const { total, rows } = searchMembers(condition, memberSortColumns[sortBy], page);
      const items = rows.map((row) => ({ ...row, roles: JSON.parse(row['roles'] as string) as string[] }));
      return { total, items: items as unknown as MemberView[] };
    },
  };
}

function conditionOf(query: OrganizationQuery, instanceDomain: string): Condition {
  switch (query.kind) {
    case 'text': {
      const { field, value, method, ignoreCase } = query;
      if (field === 'name') {
        return ignoreCase
          ? textCondition('fold_case(name)', foldCase(value), method)
          : textCondition('name', value, method);
      }
      // Domains have no case.
      const domain = `(domain_label || ${sqlText(`.${instanceDomain}`)})`;
      return textCondition(domain, value.toLowerCase(), method);
    }
    case 'state':
      return textCondition('state', query.state, 'equals');
    case 'id':
      return textCondition('organization_id', query.organizationId, 'equals');
    case 'none':
      return never;
  }
}
