export interface Run {
  /** In the row's unit: more is better. */
  readonly rate: number;
  readonly loadShare?: number;
}

/** One thing that is measured: it runs once, and says how fast it was. */
export type Measurement = () => Promise<Run>;

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Comparison {
  readonly keyturn: Spread;
  readonly reference: Spread;
  /** Of Keyturn's rate to that of the reference, taken within each round. */
  readonly ratio: Spread;
  /** The most of a core that the process of the load took; undefined where none made it. */
  readonly loadShare: number | undefined;
}

/** Keyturn and the reference take turns, so that a noisy machine is noisy for both. The first round warms up. */
export async function compare(
  keyturn: Measurement,
  reference: Measurement,
  rounds: number,
): Promise<Comparison> {
  const taken: { readonly keyturn: Run; readonly reference: Run }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const pair = { keyturn: await keyturn(), reference: await reference() };
    if (round > 0) taken.push(pair);
  }
  const shares = taken.flatMap((pair) =>
    [pair.keyturn.loadShare ?? [], pair.reference.loadShare ?? []].flat(),
  );
  return {
    keyturn: spreadOf(taken.map((pair) => pair.keyturn.rate)),
    reference: spreadOf(taken.map((pair) => pair.reference.rate)),
    ratio: spreadOf(taken.map((pair) => pair.keyturn.rate / pair.reference.rate)),
    loadShare: shares.length === 0 ? undefined : Math.max(...shares),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    least: sorted[0] ?? Number.NaN,
    most: sorted.at(-1) ?? Number.NaN,
  };
}
