import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ExpectedRevision } from '../../src/eventstore/event-store.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';

/**
 * Durable appends of one event each, with so many in flight, for so many seconds: `appends.ts keyturn|sqlite <in flight>
 * <seconds>`. Bare SQLite commits as many rows together as there are in flight. Prints appends a second.
 */
const [contender, inFlight, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const file = join(folder, 'events.db');
const type = 'MachineSecretSet';
const data = { secretId: 'x'.repeat(16), hashedSecret: 'x'.repeat(60), replacedSecretIds: [] };
const metadata = {
  schemaVersion: 1,
  occurredAt: new Date().toISOString(),
  editor: null,
  $correlationId: randomUUID(),
  $causationId: randomUUID(),
  previousHash: 'x'.repeat(43),
};
const end = performance.now() + seconds * 1000;
const begin = performance.now();
const appended = contender === 'keyturn' ? await appendByStore() : appendBare();
process.stdout.write(JSON.stringify({ rate: appended / ((performance.now() - begin) / 1000) }));
rmSync(folder, { recursive: true, force: true });

async function appendByStore(): Promise<number> {
  const store = openSqliteEventStore({ file });
  let count = 0;
  // At the revision that the one before it led to, as commands append.
  const append = async (_: unknown, lane: number) => {
    let revision: ExpectedRevision = 'no_stream';
    while (performance.now() < end) {
      const events = [{ id: randomUUID(), type, data, metadata }];
      revision = (await store.append(`machineUser-${lane}`, events, revision)).revision;
      count++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, append));
  await store.close();
  return count;
}

function appendBare(): number {
  const db = new DatabaseSync(file);
  db.exec(`
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE events (
      position INTEGER PRIMARY KEY, stream TEXT, revision INTEGER, id TEXT, type TEXT, data TEXT, metadata TEXT,
      UNIQUE (stream, revision)
    ) STRICT;
  `);
  const insert = db.prepare('INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?)');
  let revision = 0;
  while (performance.now() < end) {
    db.exec('BEGIN IMMEDIATE');
    for (let lane = 0; lane < inFlight; lane++) {
      const [text, about] = [JSON.stringify(data), JSON.stringify(metadata)];
      insert.run(`machineUser-${lane}`, revision, randomUUID(), type, text, about);
    }
    db.exec('COMMIT');
    revision++;
  }
  db.close();
  return revision * inFlight;
}
