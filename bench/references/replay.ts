import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { replayInto } from '../../src/audit/replay/replay.ts';
import { keepCompiledCode } from '../../src/cli/compile-cache.js';
import { allocateYoung } from '../../src/cli/young-allocation.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';

/**
 * Reads a whole log: `replay.ts keyturn|scan <file> <events>`. Keyturn builds a read model from it; the scan parses its JSON and
 * does nothing else. Prints events a second.
 */
const [contender = '', file = ''] = process.argv.slice(2);
const events = Number(process.argv[4]);
const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const before = process.cpuUsage();
const begin = performance.now();
if (contender === 'keyturn') await rebuild();
else scan();
const seconds = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ rate: events / seconds, cpuTimeEach: (user + system) / 1e6 / events }));
rmSync(folder, { recursive: true, force: true });

async function rebuild(): Promise<void> {
  // As the command does: its threads find their code compiled.
  keepCompiledCode();
  allocateYoung();
  const eventStore = openSqliteEventStore({ file, readOnly: true });
  await replayInto(join(folder, 'read-model.db'), { eventStore, file });
  await eventStore.close();
}

function scan(): void {
  const db = new DatabaseSync(file, { readOnly: true });
  let read = 0;
  for (const { data, metadata } of db.prepare('SELECT * FROM events ORDER BY position').iterate()) {
    JSON.parse(data as string);
    JSON.parse(metadata as string);
    read++;
  }
  db.close();
  if (read !== events) throw new Error(`the log holds ${read} events`);
}
