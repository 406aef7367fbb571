import { type Comparison, comparisonOf, type Run, type Spread, spreadOf } from './comparison.ts';

/** What is aimed at. */
export type Budget = (
  | { readonly of: 'ratio'; readonly atLeast: number }
  | { readonly of: 'ratio' | 'figure'; readonly below: number }
) & { readonly isMet: boolean };

/** A row of the table. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  readonly keyturn: Spread;
  readonly reference?: Spread & { readonly name: string };
  readonly ratio?: Spread;
  readonly ratioByCpuTime?: Spread;
  readonly budget: Budget;
  readonly loadShare?: number;
  readonly latency?: NonNullable<Comparison['latency']>;
  /** Where the row says how something changes with a size. */
  readonly growth?: { readonly line: string; readonly size: number; readonly smallest: number };
}

export type Unit = '/s' | ' ms' | ' s' | ' MB';

export interface ComparedRow extends Pick<Row, 'what' | 'growth'> {
  readonly reference: string;
  readonly atLeast: number;
}

/** Keyturn's rate beside that of a reference, in the same rounds. */
export function comparedRow(
  { what, reference, atLeast, growth }: ComparedRow,
  keyturnRuns: readonly Run[],
  referenceRuns: readonly Run[],
): Row {
  const { reference: rate, ...compared }: Comparison = comparisonOf(keyturnRuns, referenceRuns);
  return {
    what,
    unit: '/s',
    ...compared,
    reference: { ...rate, name: reference },
    budget: { of: 'ratio', atLeast, isMet: compared.ratio.median >= atLeast },
    ...(growth && { growth }),
  };
}

/** A figure that has a limit of its own. */
export function limitedRow(what: string, unit: Unit, values: readonly number[], below: number): Row {
  const keyturn = spreadOf(values);
  return { what, unit, keyturn, budget: { of: 'figure', below, isMet: keyturn.median < below } };
}
