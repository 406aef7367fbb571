import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeDocuments } from './harness/documents.ts';
import { type Report, tableOf } from './harness/report.ts';
import type { Row } from './harness/row.ts';
import type { Scale, Section } from './harness/section.ts';
import { appends } from './rows/appends.ts';
import { firstUse, grants } from './rows/grants.ts';
import { growthWithStreams, growthWithUsers } from './rows/growth.ts';
import { introspection } from './rows/introspection.ts';
import { overload } from './rows/overload.ts';
import { refusals } from './rows/refusals.ts';
import { replay } from './rows/replay.ts';
import { setSecret } from './rows/set-secret.ts';
import { subscriptions } from './rows/subscriptions.ts';

/**
 * Keyturn beside what a user would pick instead: one table. Servers and load are processes of their own.
 *
 *     npm run bench
 *     npm run bench -- --quick        # short rounds and smaller sizes: a first idea
 *     npm run bench -- --smoke        # whether all works; the figures mean nothing
 *     npm run bench -- --only grants  # the sections whose name has this in it
 *     npm run bench -- --write-docs   # puts the table and the plots into docs/
 */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    'write-docs': { type: 'boolean', default: false },
  },
});

const scales: Record<'full' | 'quick' | 'smoke', Scale> = {
  full: {
    rounds: 5,
    warmUpRounds: 1,
    seconds: 1,
    overloadSeconds: 3,
    changes: 6400,
    slowHashes: 64,
    clients: 10_000,
    firstUses: 1280,
    streamedEvents: 50_000,
    events: 1_000_000,
    users: [1000, 100_000, 1_000_000],
    eventsOfUser: [10, 1000, 10_000],
  },
  quick: {
    rounds: 2,
    warmUpRounds: 0,
    seconds: 0.25,
    overloadSeconds: 1.2,
    changes: 128,
    slowHashes: 4,
    clients: 300,
    firstUses: 128,
    streamedEvents: 10_000,
    events: 20_000,
    users: [200, 1000, 4000],
    eventsOfUser: [10, 50, 200],
  },
  smoke: {
    rounds: 1,
    warmUpRounds: 0,
    seconds: 0.3,
    overloadSeconds: 0.3,
    changes: 64,
    slowHashes: 4,
    clients: 64,
    firstUses: 64,
    streamedEvents: 1000,
    events: 2000,
    users: [64, 128, 256],
    eventsOfUser: [10, 20, 40],
  },
};
const size = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full';

const sections: readonly Section[] = [
  setSecret,
  grants,
  firstUse,
  refusals,
  introspection,
  appends,
  subscriptions,
  replay,
  growthWithUsers,
  growthWithStreams,
  overload,
];

const begin = new Date();
const rows: Row[] = [];
for (const section of sections.filter(({ name }) => name.includes(values.only))) {
  const since = performance.now();
  process.stderr.write(`${section.name} … `);
  try {
    rows.push(...(await section.measure(scales[size])));
    process.stderr.write(`${((performance.now() - since) / 1000).toFixed(0)} s\n`);
  } catch (error) {
    // The others are worth measuring all the same.
    process.exitCode = 1;
    process.stderr.write(`failed\n${error instanceof Error ? error.stack : String(error)}\n`);
  }
}

const report: Report = {
  date: begin.toISOString(),
  size,
  machine: `Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'})`,
  minutes: (Date.now() - begin.getTime()) / 60_000,
  loadAverage: loadavg()[0] ?? 0,
  scale: scales[size],
  rows,
};
process.stdout.write(`${tableOf(report)}\n`);
for (const { what, keyturn, ratio = keyturn } of rows) {
  if (Number.isFinite(keyturn.median) && Number.isFinite(ratio.median)) continue;
  process.exitCode = 1;
  process.stderr.write(`not measured: ${what}\n`);
}
const results = join(import.meta.dirname, 'results');
mkdirSync(results, { recursive: true });
const file = join(results, `${report.date.replaceAll(':', '-')}.json`);
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
process.stderr.write(`${file}\n`);
if (values['write-docs']) writeDocuments(report);
process.exit();
