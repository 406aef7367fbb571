import { randomUUID } from 'node:crypto';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';

/** A process that appends until it is killed, and prints the revision of each append that was acknowledged. */
const store = openSqliteEventStore({ file: process.argv[2] ?? '' });
for (let revision = -1n; ; revision++) {
  const events = [1, 2].map(() => ({ id: randomUUID(), type: 'Written', data: {}, metadata: {} }));
  const result = await store.append('a-1', events, revision < 0n ? 'any' : 'stream_exists');
  process.stdout.write(`${result.revision}\n`);
}
