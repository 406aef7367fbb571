import { KeyturnError } from '../../domain/errors.ts';
import type { PageOptions } from '../../projections/paged-search.ts';

/** How many items a page has where the request does not say, and at most: ZITADEL's limits. */
export const defaultLimit = 100;
export const maxLimit = 1000;
/** How many queries a list takes, in all. */
export const maxQueries = 100;
/** SQLite's largest integer. */
const maxInteger = 2n ** 63n - 1n;

/** zitadel.v1.ListQuery and zitadel.object.v2.ListQuery; absent: the first page, descending. */
export interface ListQuery {
  readonly offset: bigint;
  readonly limit: number;
  readonly asc: boolean;
}

/** @throws KeyturnError `QUERY_INVALID` */
export function pageOf(query: ListQuery | undefined): PageOptions {
  const { offset = 0n, limit = 0, asc = false } = query ?? {};
  return { offset: storable(offset, 'query.offset'), limit: limitOf(limit, 'query.limit'), ascending: asc };
}

/** A number that a query of the read model can hold. Throws KeyturnError `QUERY_INVALID` for one that is larger. */
export function storable(value: bigint, field: string): bigint {
  if (value > maxInteger) throw new KeyturnError('QUERY_INVALID', { text: `${field} is too large` });
  return value;
}

/** @throws KeyturnError `QUERY_INVALID` for more queries than a list takes */
export function requireFewQueries(queries: readonly unknown[]): void {
  if (queries.length > maxQueries) {
    throw new KeyturnError('QUERY_INVALID', { text: `queries: at most ${maxQueries} are taken` });
  }
}

/** @throws KeyturnError `QUERY_INVALID` */
export function limitOf(limit: number, field: string): number {
  if (limit > maxLimit) {
    throw new KeyturnError('QUERY_INVALID', { text: `${field} is ${limit}, at most ${maxLimit} are given` });
  }
  return limit === 0 ? defaultLimit : limit;
}
