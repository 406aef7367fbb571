import { KeyturnError } from '../../domain/errors.ts';
import type { PageOptions } from '../../projections/paged-search.ts';

/** How many items a page has where the request does not say, and at most: ZITADEL's limits. */
export const defaultLimit = 100;
export const maxLimit = 1000;
/** SQLite's largest integer. */
const maxOffset = 2n ** 63n - 1n;

/** zitadel.v1.ListQuery and zitadel.object.v2.ListQuery; absent: the first page, descending. */
export interface ListQuery {
  readonly offset: bigint;
  readonly limit: number;
  readonly asc: boolean;
}

/** @throws KeyturnError `QUERY_INVALID` */
export function pageOf(query: ListQuery | undefined): PageOptions {
  const { offset = 0n, limit = 0, asc = false } = query ?? {};
  if (offset > maxOffset) throw new KeyturnError('QUERY_INVALID', { text: 'query.offset is too large' });
  return { offset, limit: limitOf(limit, 'query.limit'), ascending: asc };
}

/** @throws KeyturnError `QUERY_INVALID` */
export function limitOf(limit: number, field: string): number {
  if (limit > maxLimit) {
    throw new KeyturnError('QUERY_INVALID', { text: `${field} is ${limit}, at most ${maxLimit} are given` });
  }
  return limit === 0 ? defaultLimit : limit;
}
