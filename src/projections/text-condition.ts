import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

/** How a text is compared (zitadel.v1.TextQueryMethod). */
export type TextMethod = 'equals' | 'startsWith' | 'contains' | 'endsWith';

/** A part of a WHERE clause with its parameters. */
export interface Condition {
  readonly sql: string;
  readonly parameters: readonly SQLInputValue[];
}

export const always: Condition = { sql: 'true', parameters: [] };
export const never: Condition = { sql: 'false', parameters: [] };

export function allOf(conditions: readonly Condition[]): Condition {
  return joined(conditions, ' AND ') ?? always;
}

export function anyOf(conditions: readonly Condition[]): Condition {
  return joined(conditions, ' OR ') ?? never;
}

export function not(condition: Condition): Condition {
  return { sql: `NOT (${condition.sql})`, parameters: condition.parameters };
}

export function isIn(column: string, values: readonly string[]): Condition {
  return { sql: `${column} IN (SELECT value FROM json_each(?))`, parameters: [JSON.stringify(values)] };
}

/** @param column an SQL expression, compared byte by byte: a prefix can use an index on it */
export function textCondition(column: string, value: string, method: TextMethod): Condition {
  if (method === 'equals') return { sql: `${column} = ?`, parameters: [value] };
  if (value === '') return always;
  switch (method) {
    case 'startsWith': {
      const end = afterPrefix(value);
      return end === undefined
        ? { sql: `${column} >= ?`, parameters: [value] }
        : { sql: `(${column} >= ? AND ${column} < ?)`, parameters: [value, end] };
    }
    case 'contains':
      return { sql: `instr(${column}, ?) > 0`, parameters: [value] };
    case 'endsWith':
      return { sql: `substr(${column}, -length(?)) = ?`, parameters: [value, value] };
  }
}

/** A text as a literal of SQL. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Makes `fold_case(text)` known to the database: SQLite's own `lower` knows ASCII only. */
export function defineFoldCase(db: DatabaseSync): void {
  db.function('fold_case', { deterministic: true }, (text) => foldCase(String(text)));
}

/** The form in which texts are compared where case does not matter. */
export function foldCase(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

function joined(conditions: readonly Condition[], operator: string): Condition | undefined {
  if (conditions.length === 0) return undefined;
  return {
    sql: `(${conditions.map((condition) => condition.sql).join(operator)})`,
    parameters: conditions.flatMap((condition) => condition.parameters),
  };
}

const lastCodePoint = 0x10ffff;
const firstSurrogate = 0xd800;
const lastSurrogate = 0xdfff;

/** The first text after all that begin with `prefix`, in the order of code points; undefined when there is none. */
function afterPrefix(prefix: string): string | undefined {
  const points = [...prefix].map((character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === lastCodePoint) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  const next = last + 1 >= firstSurrogate && last < lastSurrogate ? lastSurrogate + 1 : last + 1;
  return String.fromCodePoint(...points, next);
}
