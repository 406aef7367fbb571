import fs, { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import { backUpEventLog } from '../../src/eventstore/sqlite/backup.ts';
import { replaceEventLog } from '../../src/eventstore/sqlite/replace-log.ts';
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
  expect(readdirSync(folder).filter((name) => name.startsWith('backup.db'))).toEqual([]);
});

test('a backup is not hindered by what a killed one left behind', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  await openSqliteEventStore({ file }).close();
  const target = join(folder, 'backup.db');
  writeFileSync(`${target}.partial`, 'half');
  await backUpEventLog(file, target);
  expect(existsSync(target)).toBe(true);
});

describe('replacing a log', () => {
  async function logWith(file: string, count: number): Promise<void> {
    const store = openSqliteEventStore({ file });
    await store.append('a-1', newEvents(count), 'any');
    await store.close();
  }
  const countOf = async (file: string) => {
    const store = closedAfterTest(openSqliteEventStore({ file, readOnly: true }));
    return (await Array.fromAsync(store.readAll())).length;
  };

  it('keeps the old one whole, and the new one for its owner only', async () => {
    const folder = temporaryFolder();
    const [file, replacement] = [join(folder, 'events.db'), join(folder, 'new.db')];
    await logWith(file, 3);
    await logWith(replacement, 1);
    chmodSync(replacement, 0o644);
    // As a process that was killed leaves it: the last events are in the write-ahead log alone.
    const killed = new DatabaseSync(file);
    killed.exec(`PRAGMA wal_autocheckpoint = 0; UPDATE events SET type = 'Late'`);
    const wal = readFileSync(`${file}-wal`);
    killed.close();
    writeFileSync(`${file}-wal`, wal);
    replaceEventLog(file, replacement, join(folder, 'aside'));
    expect(await countOf(file)).toBe(1);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await countOf(join(folder, 'aside/events.db'))).toBe(3);
  });

  it('leaves the old one in its place until the new one takes it', async () => {
    const folder = temporaryFolder();
    const [file, replacement] = [join(folder, 'events.db'), join(folder, 'new.db')];
    await logWith(file, 3);
    await logWith(replacement, 1);
    const rename = vi.spyOn(fs, 'renameSync').mockImplementationOnce(() => {
      throw new Error('power cut');
    });
    syncBuiltinESMExports();
    onTestFinished(() => {
      rename.mockRestore();
      syncBuiltinESMExports();
    });
    expect(() => replaceEventLog(file, replacement, join(folder, 'aside'))).toThrow('power cut');
    expect(await countOf(file)).toBe(3);
  });

  it('sets a damaged one aside with all that belongs to it', async () => {
    const folder = temporaryFolder();
    const [file, replacement] = [join(folder, 'events.db'), join(folder, 'new.db')];
    for (const suffix of ['', '-wal']) writeFileSync(file + suffix, `damaged${suffix}`);
    await logWith(replacement, 1);
    replaceEventLog(file, replacement, join(folder, 'aside'));
    expect(await countOf(file)).toBe(1);
    expect(readdirSync(join(folder, 'aside')).sort()).toEqual(['events.db', 'events.db-wal']);
  });
});
