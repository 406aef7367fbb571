import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserQuery } from '../../projections/machine-user-search.ts';
import { maxQueries } from './list-query.ts';
import { textMethodOf } from './text-method.ts';

/** zitadel.user.v1.SearchQuery or zitadel.user.v2.SearchQuery: they share their cases and numbers. */
export interface SearchQuery {
  readonly query: { readonly case?: string | undefined; readonly value?: unknown };
}

/** How deep queries may be nested, how many of them may look at every user, and how many ids one may name. */
const maxDepth = 10;
const maxScans = 5;
const maxIds = 1000;

const stateOfNumber: Readonly<Record<number, 'active' | 'inactive' | 'locked'>> = {
  1: 'active',
  2: 'inactive',
  4: 'locked',
};
const machineType = 2;

interface TextQuery {
  readonly method: number;
}

/**
 * All of the queries must apply. What is about people only (first name, email, …) finds nobody.
 *
 * @throws KeyturnError `QUERY_INVALID`
 */
export function machineUserQueryOf(queries: readonly SearchQuery[]): MachineUserQuery {
  let left = maxQueries;
  let scansLeft = maxScans;

  const fewScans = (leaf: MachineUserQuery, path: string) => {
    if (isScan(leaf) && scansLeft-- === 0) {
      throw invalid(path, `is one too many: at most ${maxScans} queries may search within names`);
    }
    return leaf;
  };

  const convertAll = (nested: readonly SearchQuery[], path: string, depth: number) =>
    nested.map((one, index) => convert(one, `${path}[${index}]`, depth));

  const convert = ({ query }: SearchQuery, path: string, depth: number): MachineUserQuery => {
    if (depth > maxDepth) throw invalid(path, `is nested deeper than ${maxDepth} queries`);
    if (left-- === 0) throw invalid(path, `is one too many: at most ${maxQueries} queries are taken`);
    switch (query.case) {
      case 'andQuery':
      case 'orQuery': {
        const { queries: nested } = query.value as { queries: readonly SearchQuery[] };
        const kind = query.case === 'andQuery' ? 'and' : 'or';
        return { kind, queries: convertAll(nested, `${path}.${query.case}.queries`, depth + 1) };
      }
      case 'notQuery': {
        const { query: nested } = query.value as { query?: SearchQuery };
        if (nested === undefined) throw invalid(path, 'has no query');
        return { kind: 'not', query: convert(nested, `${path}.notQuery.query`, depth + 1) };
      }
      default:
        return fewScans(leafOf(query.case, query.value, path), path);
    }
  };

  return { kind: 'and', queries: convertAll(queries, 'queries', 1) };
}

/** No index helps: it looks at the name of every user. */
function isScan(query: MachineUserQuery): boolean {
  if (query.kind !== 'text') return false;
  return query.field === 'name' || query.method === 'contains' || query.method === 'endsWith';
}

function leafOf(kind: string | undefined, value: unknown, path: string): MachineUserQuery {
  switch (kind) {
    case 'userNameQuery':
      return textQuery('userName', (value as { userName: string }).userName, value as TextQuery);
    case 'loginNameQuery':
      return textQuery('userName', (value as { loginName: string }).loginName, value as TextQuery);
    case 'displayNameQuery':
      return textQuery('name', (value as { displayName: string }).displayName, value as TextQuery);
    case 'stateQuery': {
      const state = stateOfNumber[(value as { state: number }).state];
      return state === undefined ? { kind: 'none' } : { kind: 'state', state };
    }
    case 'typeQuery':
      return { kind: (value as { type: number }).type === machineType ? 'all' : 'none' };
    case 'inUserIdsQuery': {
      const { userIds } = value as { userIds: readonly string[] };
      if (userIds.length > maxIds) throw invalid(path, `names more than ${maxIds} ids`);
      return { kind: 'ids', userIds };
    }
    case 'organizationIdQuery':
      return { kind: 'organization', organizationId: (value as { organizationId: string }).organizationId };
    default:
      return { kind: 'none' };
  }
}

function textQuery(field: 'userName' | 'name', value: string, { method }: TextQuery): MachineUserQuery {
  return { kind: 'text', field, value, ...textMethodOf(method) };
}

function invalid(path: string, fault: string): KeyturnError {
  return new KeyturnError('QUERY_INVALID', { text: `${path} ${fault}` });
}
