import type { ReadModelTable } from '../../projections/read-model.ts';

type Row = ReturnType<ReadModelTable['rows']> extends Iterable<infer Element> ? Element : never;

/** A row of a read model that is not as the log says. Names columns, never values: a value may be a hash. */
export interface RowDifference {
  readonly table: string;
  /** The values of the key columns. */
  readonly key: Readonly<Record<string, string>>;
  /** `missing` and `extra` are seen from the live read model. */
  readonly kind: 'missing' | 'extra' | 'changed';
  /** Whose values differ. Empty for a row that is missing or extra. */
  readonly columns: readonly string[];
}

/** Compares row by row; neither side is held in memory. */
export function* rowDifferences(
  live: readonly ReadModelTable[],
  replayed: readonly ReadModelTable[],
): Generator<RowDifference> {
  for (const { name, keyColumns, rows } of replayed) {
    const liveRows = live.find((table) => table.name === name)?.rows() ?? [];
    for (const [actual, expected] of pairsByKey(liveRows, rows(), keyColumns)) {
      const difference = differenceOf(actual, expected);
      if (difference === undefined) continue;
      const row = expected ?? actual;
      const key = Object.fromEntries(keyColumns.map((column) => [column, String(row?.[column])]));
      yield { table: name, key, ...difference };
    }
  }
}

function differenceOf(
  actual: Row | undefined,
  expected: Row | undefined,
): Pick<RowDifference, 'kind' | 'columns'> | undefined {
  if (actual === undefined) return { kind: 'missing', columns: [] };
  if (expected === undefined) return { kind: 'extra', columns: [] };
  const columns = Object.keys(expected).filter((column) => actual[column] !== expected[column]);
  return columns.length === 0 ? undefined : { kind: 'changed', columns };
}

function* pairsByKey(
  actual: Iterable<Row>,
  expected: Iterable<Row>,
  keyColumns: readonly string[],
): Generator<readonly [Row | undefined, Row | undefined]> {
  const [left, right] = [actual[Symbol.iterator](), expected[Symbol.iterator]()];
  const next = (rows: Iterator<Row>): Row | undefined => {
    const { done, value } = rows.next();
    return done ? undefined : value;
  };
  let [a, b] = [next(left), next(right)];
  while (a !== undefined || b !== undefined) {
    const order = orderOf(a, b, keyColumns);
    yield [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
    if (order <= 0) a = next(left);
    if (order >= 0) b = next(right);
  }
}

/** As SQLite orders: text by its bytes, integers by value. A row that is not there comes last. */
function orderOf(a: Row | undefined, b: Row | undefined, keyColumns: readonly string[]): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  for (const column of keyColumns) {
    const [left, right] = [a[column], b[column]];
    if (left === right) continue;
    if (typeof left === 'bigint' && typeof right === 'bigint') return left < right ? -1 : 1;
    return Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right)));
  }
  return 0;
}
