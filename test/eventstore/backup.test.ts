import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import { backUpEventLog } from '../../src/eventstore/sqlite/backup.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { newEvents } from '../support/new-event.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a backup that is taken while the log grows is the log as it was at one moment', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  const store = closedAfterTest(openSqliteEventStore({ file }));
  for (let append = 0; append < 20; append++) await store.append('a-1', newEvents(500), 'any');
  let isDone = false;
  const grow = async () => {
    while (!isDone) await store.append('a-1', newEvents(2), 'any');
  };
  const growing = grow();
  await backUpEventLog(file, join(folder, 'backup.db'));
  isDone = true;
  await growing;
  const copy = closedAfterTest(openSqliteEventStore({ file: join(folder, 'backup.db'), readOnly: true }));
  const copied = await Array.fromAsync(copy.readAll());
  expect(copied.length).toBeGreaterThanOrEqual(10_000);
  // Whole appends only, and nothing but what the log begins with.
  expect(copied.length % 2).toBe(0);
  expect(copied).toEqual(await Array.fromAsync(store.readAll({ limit: copied.length })));
});

test('a backup is one file, readable by its owner only, and complete by itself', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  await closedAfterTest(openSqliteEventStore({ file })).append('a-1', newEvents(1), 'any');
  const target = join(temporaryFolder(), 'backup.db');
  await backUpEventLog(file, target);
  expect(readdirSync(join(target, '..'))).toEqual(['backup.db']);
  expect(statSync(target).mode & 0o777).toBe(0o600);
  const db = new DatabaseSync(target, { readOnly: true });
  expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  db.close();
});

test('a backup replaces no file, and leaves nothing when it fails', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  await openSqliteEventStore({ file }).close();
  const taken = join(folder, 'taken');
  writeFileSync(taken, 'precious');
  await expect(backUpEventLog(file, taken)).rejects.toThrow(/EEXIST/);
  const foreign = join(folder, 'foreign.db');
  const db = new DatabaseSync(foreign);
  db.exec('CREATE TABLE theirs (x)');
  db.close();
  await expect(backUpEventLog(foreign, join(folder, 'backup.db'))).rejects.toThrow(EventStoreUnusableError);
  expect([existsSync(join(folder, 'backup.db')), existsSync(join(folder, 'backup.db.partial'))]).toEqual([
    false,
    false,
  ]);
});
