import type { Run } from '../harness/comparison.ts';
import { runScript } from '../harness/processes.ts';
import { comparedRow, type Row } from '../harness/row.ts';
import { inTurns, type Section } from '../harness/section.ts';

export const appends: Section = {
  name: 'durable appends',
  async measure(scale) {
    const rows: Row[] = [];
    for (const inFlight of [1, 8, 32, 128]) {
      const of = (contender: string) => () =>
        runScript<Run>('references/appends.ts', [contender, inFlight, scale.seconds]);
      const runs = await inTurns(scale, { keyturn: of('keyturn'), sqlite: of('sqlite') });
      const what = `durable appends, ${inFlight} in flight`;
      rows.push(
        comparedRow(
          { what, reference: `bare SQLite, ${inFlight} a commit`, atLeast: 0.5 },
          runs.keyturn,
          runs.sqlite,
        ),
      );
    }
    return rows;
  },
};
