import type { DatabaseSync } from 'node:sqlite';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import { type MachineUserView, machineUserColumns, toMachineUserView } from './machine-users.ts';
import { type PageOptions, pagedSearch, type SearchResult } from './paged-search.ts';
import {
  allOf,
  always,
  anyOf,
  type Condition,
  foldCase,
  isIn,
  never,
  not,
  type TextMethod,
  textCondition,
} from './text-condition.ts';

/** Which machine users are looked for. */
export type MachineUserQuery =
  | { readonly kind: 'all' | 'none' }
  | {
      readonly kind: 'text';
      readonly field: 'userName' | 'name';
      readonly value: string;
      readonly method: TextMethod;
      readonly ignoreCase: boolean;
    }
  | { readonly kind: 'state'; readonly state: MachineUserView['state'] }
  | { readonly kind: 'ids'; readonly userIds: readonly string[] }
  | { readonly kind: 'organization'; readonly organizationId: string }
  | { readonly kind: 'and' | 'or'; readonly queries: readonly MachineUserQuery[] }
  | { readonly kind: 'not'; readonly query: MachineUserQuery };

const sortColumns = {
  creationDate: 'creation_date',
  userName: 'user_name',
  name: 'name',
  state: 'state',
} as const;

export interface MachineUserSearch extends PageOptions {
  /** The organizations that are searched; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  readonly query: MachineUserQuery;
  readonly sortBy: keyof typeof sortColumns;
}

export function machineUserSearch(db: DatabaseSync) {
  const search = pagedSearch(db, { table: 'machine_users', key: ['user_id'], columns: machineUserColumns });

  return {
    searchMachineUsers(options: MachineUserSearch): SearchResult<MachineUserView> {
      const condition = allOf([organizationsCondition(options.organizationIds), conditionOf(options.query)]);
      const { total, rows } = search(condition, sortColumns[options.sortBy], options);
      return { total, items: rows.map(toMachineUserView) };
    },
  };
}

/** One organization by equality, so that indexes that begin with it give the order. */
function organizationsCondition(organizationIds: readonly string[] | undefined): Condition {
  if (organizationIds === undefined) return always;
  const [only] = organizationIds;
  return organizationIds.length === 1 && only !== undefined
    ? textCondition('organization_id', only, 'equals')
    : isIn('organization_id', organizationIds);
}

function conditionOf(query: MachineUserQuery): Condition {
  switch (query.kind) {
    case 'all':
      return always;
    case 'none':
      return never;
    case 'text':
      return textConditionOf(query);
    case 'state':
      return textCondition('state', query.state, 'equals');
    case 'ids':
      return isIn('user_id', query.userIds);
    case 'organization':
      return textCondition('organization_id', query.organizationId, 'equals');
    case 'and':
      return allOf(query.queries.map(conditionOf));
    case 'or':
      return anyOf(query.queries.map(conditionOf));
    case 'not':
      return not(conditionOf(query.query));
  }
}

/** Names have columns for comparisons that ignore case; that of user names has an index. */
function textConditionOf(query: MachineUserQuery & { kind: 'text' }): Condition {
  const { field, value, method, ignoreCase } = query;
  if (!ignoreCase) return textCondition(field === 'userName' ? 'user_name' : 'name', value, method);
  return field === 'userName'
    ? textCondition('login_name', normalizeUserName(value), method)
    : textCondition('folded_name', foldCase(value), method);
}
