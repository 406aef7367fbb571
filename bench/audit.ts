import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeEventLog } from './event-log.ts';
import { runScript } from './harness/processes.ts';
import type { LogReading } from './references/log-reading.ts';

/**
 * Reading the log: a scan, verification, replay into a read model, the report for auditors, and the history of a user with
 * 1,000 events, over logs that grow tenfold, each in a process of its own. Prints the most memory that the process held at a time,
 * and how the cost grows: the exponent of the best fit of `seconds = a × events^b`, where 1 is a straight line, and the same
 * of the CPU time.
 *
 *     node bench/audit.ts --events 10000,100000,1000000,10000000 --rounds 3
 */
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000,100000,1000000' },
    rounds: { type: 'string', default: '3' },
    /** How many events each user has. All users take turns: the fewer, the less of a replay's writing is saved. */
    each: { type: 'string', default: '1000' },
    /** A log that was written before, instead of writing one for the last size. */
    log: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const sizes = values.events.split(',').map(Number);
const measured = ['scan', 'verify', 'replay', 'report', 'history'] as const;
/** The best round of each size. */
const readings: Record<(typeof measured)[number], LogReading[]> = {
  scan: [],
  verify: [],
  replay: [],
  report: [],
  history: [],
};

print(
  `Node ${process.version}, ${availableParallelism()} cores, best of ${rounds} rounds, ${values.each} events a user`,
);
for (const [index, events] of sizes.entries()) {
  const isLast = index === sizes.length - 1;
  if (isLast && values.log !== undefined) await measure(values.log, events);
  else await measureNew(events);
}
if (sizes.length > 1) {
  for (const what of ['scan', 'verify', 'replay', 'report'] as const) {
    const [wall, cpu] = (['seconds', 'cpuSeconds'] as const).map((unit) =>
      exponent(readings[what].map((reading) => reading[unit])),
    );
    print(`${what.padEnd(8)} grows as events^${wall}, its CPU time as events^${cpu}`);
  }
}

async function measureNew(events: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
  try {
    const file = join(folder, 'events.db');
    await writeEventLog(file, { events, users: Math.max(events / Number(values.each), 10) });
    await measure(file, events);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(file: string, events: number): Promise<void> {
  print(`${thousands(events)} events`);
  for (const what of measured) {
    const taken: LogReading[] = [];
    for (let round = 0; round < rounds; round++) {
      taken.push(await runScript<LogReading>('references/log-reading.ts', [what, file]));
    }
    const [best] = taken.toSorted((a, b) => a.seconds - b.seconds);
    if (best === undefined) continue;
    readings[what].push(best);
    const { seconds, cpuSeconds, megabytes } = best;
    const speed =
      what === 'history'
        ? `${(seconds * 1000).toFixed(0)} ms`
        : `${thousands(events / seconds)} events/s, ${((cpuSeconds / events) * 1e6).toFixed(1)} µs of CPU each`;
    print(`  ${what.padEnd(8)} ${speed}, ${megabytes.toFixed(0)} MB`);
  }
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

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
