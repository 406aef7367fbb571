import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { replayInto } from '../src/audit/replay/replay.ts';
import { userHistory } from '../src/audit/user-history.ts';
import { verifyLog } from '../src/audit/verify-log.ts';
import { openSqliteEventStore } from '../src/eventstore/sqlite/sqlite-event-store.ts';
import { writeEventLog } from './event-log.ts';

/**
 * Reading the log: a bare scan, verification, replay into a read model, and the history of one user, over logs that grow
 * tenfold. Figures of one size are taken side by side. Prints how the cost grows: the exponent of the best fit of
 * `seconds = a × events^b`, where 1 is a straight line.
 *
 *     node bench/audit.ts --events 10000,100000,1000000 --rounds 3
 */
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000,100000,1000000' },
    rounds: { type: 'string', default: '3' },
    /** A log that was written before, with 1000 events for each user: instead of writing one. */
    log: { type: 'string' },
    /** Prints the events a second of the one size, for `run.ts`. */
    json: { type: 'boolean', default: false },
  },
});
const eventsOfUser = 1000;
const rounds = Number(values.rounds);
const sizes = values.events.split(',').map(Number);
type Measurement = 'scan' | 'verify' | 'replay';
const seconds: Record<Measurement, number[]> = { scan: [], verify: [], replay: [] };

if (!values.json) print(`Node ${process.version}, ${availableParallelism()} cores, best of ${rounds} rounds`);
for (const events of sizes) {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
  try {
    const file = values.log ?? join(folder, 'events.db');
    if (values.log === undefined)
      await writeEventLog(file, { events, users: Math.max(events / eventsOfUser, 10) });
    await measure(file, folder, events);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
if (sizes.length > 1) {
  for (const [name, taken] of Object.entries(seconds))
    print(`${name.padEnd(8)} grows as events^${exponent(taken)}`);
}

async function measure(file: string, folder: string, events: number): Promise<void> {
  const eventStore = openSqliteEventStore({ file, readOnly: true });
  const best = {
    scan: Number.POSITIVE_INFINITY,
    verify: Number.POSITIVE_INFINITY,
    replay: Number.POSITIVE_INFINITY,
  };
  const history: number[] = [];
  for (let round = 0; round < rounds; round++) {
    best.scan = Math.min(best.scan, await timed(() => scan(eventStore)));
    best.verify = Math.min(
      best.verify,
      await timed(async () => {
        const { fault } = await verifyLog({ eventStore, file });
        if (fault !== undefined) throw new Error(fault.reason);
      }),
    );
    const readModel = join(folder, `read-model-${round}.db`);
    best.replay = Math.min(best.replay, await timed(() => replayInto(readModel, { eventStore, file })));
    rmSync(readModel);
    history.push(await timed(() => Array.fromAsync(userHistory(eventStore, '200000000000000003'))));
  }
  await eventStore.close();
  const rates = (Object.keys(seconds) as Measurement[]).map((name) => {
    seconds[name].push(best[name]);
    const ratio = name === 'scan' ? '' : ` (${(best.scan / best[name]).toFixed(2)} of scan)`;
    return `${name} ${thousands(events / best[name])}/s${ratio}`;
  });
  if (values.json) {
    print(JSON.stringify({ scan: one(events / best.scan), replay: one(events / best.replay) }));
    return;
  }
  const memory = Math.round(process.memoryUsage().rss / 1e6);
  print(
    `${thousands(events)} events: ${rates.join(', ')}, history of one user ${milliseconds(history)} ms, ${memory} MB`,
  );
}

function one(rate: number) {
  return { median: rate, least: rate, most: rate };
}

async function scan(eventStore: ReturnType<typeof openSqliteEventStore>): Promise<void> {
  for await (const { caughtUp } of eventStore.subscribe()) if (caughtUp) return;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return (performance.now() - start) / 1000;
}

/** The slope of the least squares line through the logarithms. */
function exponent(taken: readonly number[]): string {
  const points = taken.map((second, index) => [Math.log(sizes[index] ?? 1), Math.log(second)] as const);
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const variance = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return (covariance / variance).toFixed(3);
}

function milliseconds(taken: readonly number[]): string {
  return (Math.min(...taken) * 1000).toFixed(0);
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
