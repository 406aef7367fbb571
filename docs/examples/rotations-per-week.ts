/**
 * How often secrets were set in each week, and by how many editors:
 *
 *     keyturn replay --projection docs/examples/rotations-per-week.ts
 */
import type { ReplayedEvent } from '../../src/audit/replay/custom-projection.ts';

interface Week {
  rotations: number;
  readonly editors: Set<string>;
}

type State = Map<string, Week>;

export function init(): State {
  return new Map();
}

export function evolve(weeks: State, event: ReplayedEvent): State {
  if (event.type !== 'MachineSecretSet') return weeks;
  const monday = mondayOf(event.occurredAt);
  const week = weeks.get(monday) ?? { rotations: 0, editors: new Set() };
  week.rotations++;
  week.editors.add(editorOf(event));
  return weeks.set(monday, week);
}

export function result(weeks: State): object {
  return Object.fromEntries(
    [...weeks].map(([monday, { rotations, editors }]) => [monday, { rotations, editors: editors.size }]),
  );
}

function editorOf({ metadata }: ReplayedEvent): string {
  const editor = metadata['editor'] as { readonly userId: string } | null;
  return editor?.userId ?? 'Keyturn';
}

function mondayOf(time: string): string {
  const date = new Date(time);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}
