import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import type { Condition } from './text-condition.ts';

export interface PageOptions {
  readonly ascending: boolean;
  readonly offset: bigint;
  readonly limit: number;
}

export interface SearchResult<Item> {
  /** How many there are on all pages. */
  readonly total: number;
  readonly items: readonly Item[];
}

/** How many different searches are kept prepared. */
const preparedSearches = 100;

/** What is searched: `u` is the table's alias, in conditions, columns and the join. */
export interface SearchedTable {
  readonly table: string;
  /** The primary key: it makes the order definite. */
  readonly key: readonly string[];
  readonly columns: string;
  /** What else `columns` needs. */
  readonly join?: string;
}

/** A search that gives one page and the total. */
export function pagedSearch(db: DatabaseSync, { table, key, columns, join = '' }: SearchedTable) {
  const prepared = new LRUCache<string, StatementSync>({ max: preparedSearches });
  const prepare = (sql: string): StatementSync => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(sql);
    statement.setReadBigInts(true);
    prepared.set(sql, statement);
    return statement;
  };

  return (condition: Condition, sortColumn: string, { ascending, offset, limit }: PageOptions) => {
    const { sql, parameters } = condition;
    const direction = ascending ? 'ASC' : 'DESC';
    const order = [sortColumn, ...key].map((column) => `u.${column} ${direction}`).join(', ');
    const keys = key.join(', ');
    const total = prepare(`SELECT count(*) AS total FROM ${table} u WHERE ${sql}`).get(...parameters);
    // The inner query needs an index only, however far the page is.
    const rows = prepare(
      `SELECT ${columns}
         FROM (SELECT ${keys} FROM ${table} u WHERE ${sql} ORDER BY ${order} LIMIT ? OFFSET ?)
         JOIN ${table} u USING (${keys}) ${join} ORDER BY ${order}`,
    ).all(...parameters, limit, offset);
    return { total: Number(total?.['total']), rows };
  };
}
