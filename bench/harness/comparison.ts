/** One run of one thing that is measured. */
export interface Run {
  /** In the row's unit. */
  readonly rate: number;
  /** In seconds: the CPU time that what is measured took for each of them. */
  readonly cpuTimeEach?: number;
  /** Of one core that the process of the load took. */
  readonly loadShare?: number;
  readonly latency?: Latency;
}

/** In milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
}

/** It runs once, and says how it went. */
export type Measurement = () => Promise<Run>;

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Keyturn beside its reference. Ratios are taken within each round. */
export interface Comparison {
  readonly keyturn: Spread;
  readonly reference: Spread;
  readonly ratio: Spread;
  /** The ratio of what they do with a second of CPU time; absent where that was not measured. */
  readonly ratioByCpuTime?: Spread;
  /** The most of a core that the process of the load took; absent where none made it. */
  readonly loadShare?: number;
  /** Medians. */
  readonly latency?: { readonly keyturn: Latency; readonly reference?: Latency };
}

export interface Rounds {
  readonly rounds: number;
  /** Before them: code that is not compiled yet, and caches that are empty, are slow. */
  readonly warmUpRounds: number;
}

/** All take turns, so that a noisy machine is noisy for all. */
export async function takeTurns<Name extends string>(
  measurements: Readonly<Record<Name, Measurement>>,
  { rounds, warmUpRounds }: Rounds,
): Promise<Record<Name, Run[]>> {
  const names = Object.keys(measurements) as Name[];
  const taken = Object.fromEntries(names.map((name) => [name, [] as Run[]])) as Record<Name, Run[]>;
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const name of names) {
      const run = await measurements[name]();
      if (round >= 0) taken[name].push(run);
    }
  }
  return taken;
}

export function comparisonOf(keyturn: readonly Run[], reference: readonly Run[]): Comparison {
  const ratios = (of: (run: Run) => number) =>
    spreadOf(keyturn.map((run, round) => of(run) / of(reference[round] ?? run)));
  const all = [...keyturn, ...reference];
  const shares = all.flatMap(({ loadShare }) => loadShare ?? []);
  return {
    keyturn: spreadOf(keyturn.map(({ rate }) => rate)),
    reference: spreadOf(reference.map(({ rate }) => rate)),
    ratio: ratios(({ rate }) => rate),
    ...(all.every(({ cpuTimeEach }) => cpuTimeEach !== undefined) && {
      ratioByCpuTime: ratios(({ cpuTimeEach = Number.NaN }) => 1 / cpuTimeEach),
    }),
    ...(shares.length > 0 && { loadShare: Math.max(...shares) }),
    ...(hasLatency(keyturn) && {
      latency: {
        keyturn: medianLatency(keyturn),
        ...(hasLatency(reference) && { reference: medianLatency(reference) }),
      },
    }),
  };
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (place: number) => sorted[Math.floor(place)] ?? Number.NaN;
  return {
    median: (at((sorted.length - 1) / 2) + at(sorted.length / 2)) / 2,
    least: sorted[0] ?? Number.NaN,
    most: sorted.at(-1) ?? Number.NaN,
  };
}

function hasLatency(runs: readonly Run[]): boolean {
  return runs.every(({ latency }) => latency !== undefined);
}

function medianLatency(runs: readonly Run[]): Latency {
  const median = (name: keyof Latency) =>
    spreadOf(runs.map(({ latency }) => latency?.[name] ?? Number.NaN)).median;
  return { p50: median('p50'), p90: median('p90'), p99: median('p99'), p99_9: median('p99_9') };
}
