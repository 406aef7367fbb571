import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayInto } from '../../src/audit/replay/replay.ts';
import { userHistory } from '../../src/audit/user-history.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { keepCompiledCode } from '../../src/cli/compile-cache.js';
import { allocateYoung } from '../../src/cli/young-allocation.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';

/**
 * Reads a log in a process of its own: `log-reading.ts scan|verify|replay|report|history <file>`. Prints a `LogReading`.
 *
 * The scan is that of the event store: it also parses each event.
 */
export interface LogReading {
  readonly seconds: number;
  /** CPU time of all threads: what other work on the machine disturbs least. */
  readonly cpuSeconds: number;
  /** The most that the process held in memory. */
  readonly megabytes: number;
}

// As the commands do.
keepCompiledCode();
allocateYoung();
const [what = '', file = ''] = process.argv.slice(2);
const eventStore = openSqliteEventStore({ file, readOnly: true });
const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const readings: Readonly<Record<string, () => Promise<unknown>>> = {
  async scan() {
    for await (const { caughtUp } of eventStore.subscribe()) if (caughtUp) return;
  },
  async verify() {
    const { fault } = await verifyLog({ eventStore, file });
    if (fault !== undefined) throw new Error(fault.reason);
  },
  replay: () => replayInto(join(folder, 'read-model.db'), { eventStore, file }),
  async report() {
    // As the command does: what draws its chart would count as the memory of the others.
    const { reportData } = await import('../../src/audit/report/report-data.ts');
    const { reportPage } = await import('../../src/audit/report/report-page.ts');
    const verification = await verifyLog({ eventStore, file });
    reportPage(await reportData(eventStore, { now: new Date(), verification }));
  },
  history: () => Array.fromAsync(userHistory(eventStore, '200000000000000003')),
};
// As a running instance does it: with code that is compiled.
if (what === 'history') await readings['history']?.();
const before = process.cpuUsage();
const begin = performance.now();
await readings[what]?.();
const seconds = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage(before);
const reading: LogReading = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  megabytes: process.resourceUsage().maxRSS / 1000,
};
process.stdout.write(JSON.stringify(reading));
await eventStore.close();
rmSync(folder, { recursive: true, force: true });
