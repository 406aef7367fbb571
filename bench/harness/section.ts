import { type Measurement, type Rounds, type Run, takeTurns } from './comparison.ts';
import type { Row } from './row.ts';

/** How much is measured. */
export interface Scale extends Rounds {
  /** How long a measurement takes in each round. */
  readonly seconds: number;
  /** How long an overload lasts: longer than an answer may take. */
  readonly overloadSeconds: number;
  /** Changes that need no hash, before secrets are set. */
  readonly changes: number;
  /** How many slow hashes are under way at a time. */
  readonly slowHashes: number;
  /** Clients that ask for grants. */
  readonly clients: number;
  /** First uses of a secret in each round. */
  readonly firstUses: number;
  /** In the log that subscribers read. */
  readonly streamedEvents: number;
  /** In the log that is replayed. */
  readonly events: number;
  /** How many machine users there are, for the rows about growth; the last is that of start and memory too. */
  readonly users: readonly [number, number, number];
  /** How long the streams of some users are, for the rows about growth. */
  readonly eventsOfUser: readonly [number, number, number];
}

export interface Section {
  /** In a word or two, for `--only`. */
  readonly name: string;
  measure(scale: Scale): Promise<Row[]>;
}

export const connections = 64;

export function inTurns<Name extends string>(
  scale: Scale,
  measurements: Readonly<Record<Name, Measurement>>,
): Promise<Record<Name, Run[]>> {
  return takeTurns(measurements, scale);
}

export function count(value: number): string {
  return value.toLocaleString('en');
}
