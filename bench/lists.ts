import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordedEvent } from '../src/eventstore/event-store.ts';
import type { MachineUserQuery, MachineUserSearch } from '../src/projections/machine-user-search.ts';
import { ReadModel } from '../src/projections/read-model.ts';

/**
 * Lists of machine users in a read model of a million: how long a page takes in this process.
 *
 * `node bench/lists.ts [users]`
 */
const users = Number(process.argv[2] ?? 1_000_000);
const organizationId = '100000000000000001';
const batchSize = 1000;
const repetitions = 50;

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
try {
  print(`Node ${process.version}, ${availableParallelism()} cores, ${users} machine users`);
  const readModel = ReadModel.open(join(folder, 'read-model.db'));
  readModel.finish();
  const startedAt = performance.now();
  for (let first = 0; first < users; first += batchSize) {
    readModel.apply(
      Array.from({ length: Math.min(batchSize, users - first) }, (_, index) => added(first + index)),
    );
  }
  const seconds = (performance.now() - startedAt) / 1000;
  print(`built in ${seconds.toFixed(1)} s, ${Math.round(users / seconds)} users/s`);

  const selective = `robot-${String(Math.floor(users / 2)).slice(0, -2)}`;
  measure('a page of 100 by a prefix that 100 have', { query: startsWith(selective), sortBy: 'userName' });
  measure('the same, whatever the case', { query: startsWith(selective, true), sortBy: 'userName' });
  measure('the first page of all', { sortBy: 'userName' });
  measure('the first page of all, newest first', { sortBy: 'creationDate', ascending: false });
  measure('the last page of all', { sortBy: 'userName', offset: BigInt(users - 100) });
  measure('a page by a prefix that all have', { query: startsWith('robot-'), sortBy: 'userName' });
  readModel.close();

  function measure(what: string, search: Partial<MachineUserSearch>): void {
    const run = (): unknown =>
      readModel.queries.searchMachineUsers({
        organizationIds: [organizationId],
        query: { kind: 'all' },
        sortBy: 'userName',
        ascending: true,
        offset: 0n,
        limit: 100,
        ...search,
      });
    run();
    const times = Array.from({ length: repetitions }, () => {
      const before = performance.now();
      run();
      return performance.now() - before;
    }).toSorted((a, b) => a - b);
    const [least, median, most] = [0, repetitions / 2, repetitions - 1].map((place) =>
      times[place]?.toFixed(2),
    );
    print(`${what.padEnd(42)} ${median} ms (${least} to ${most})`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function startsWith(value: string, ignoreCase = false): MachineUserQuery {
  return { kind: 'text', field: 'userName', value, method: 'startsWith', ignoreCase };
}

function userIdOf(index: number): string {
  // Spread over the key space, as made ids are.
  return String(100_000_000_000_000_000n + ((BigInt(index) * 7_919_999_999_989n) % 800_000_000_000_000_000n));
}

function added(index: number): RecordedEvent {
  const userName = `robot-${String(index).padStart(String(users - 1).length, '0')}`;
  return {
    stream: `machineUser-${userIdOf(index)}`,
    revision: 0n,
    position: BigInt(index + 1),
    id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
    type: 'MachineUserAdded',
    data: { organizationId, userName, name: 'Robot', description: '', accessTokenType: 'bearer' },
    metadata: {
      schemaVersion: 1,
      occurredAt: new Date(1_700_000_000_000 + index).toISOString(),
      editor: null,
      $correlationId: 'c',
      $causationId: 'c',
      previousHash: null,
    },
    recordedAt: new Date(),
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
