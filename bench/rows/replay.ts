import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEventLog } from '../event-log.ts';
import type { Run } from '../harness/comparison.ts';
import { runScript } from '../harness/processes.ts';
import { comparedRow } from '../harness/row.ts';
import { count, inTurns, type Section } from '../harness/section.ts';

const eventsOfUser = 1000;
/** Each takes long, and begins with code that is not compiled: fewer of them. */
const rounds = { rounds: 2, warmUpRounds: 1 };

export const replay: Section = {
  name: 'replay',
  async measure(scale) {
    const { events } = scale;
    const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
    try {
      const file = join(folder, 'events.db');
      await writeEventLog(file, { events, users: Math.max(events / eventsOfUser, 10) });
      const of = (contender: string) => () =>
        runScript<Run>('references/replay.ts', [contender, file, events]);
      const runs = await inTurns({ ...scale, ...rounds }, { keyturn: of('keyturn'), scan: of('scan') });
      const what = `replay into a read model, ${count(events)} events`;
      const reference = 'bare scan of the SQLite file with JSON.parse';
      return [comparedRow({ what, reference, atLeast: 0.55 }, runs.keyturn, runs.scan)];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
