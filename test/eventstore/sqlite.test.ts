import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import type { NewEvent, ReadAllOptions, RecordedEvent } from '../../src/eventstore/event-store.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import {
  closedAfterTest,
  describeDamagedLogContract,
  describeEventStoreContract,
} from '../contract/event-store.contract.ts';
import { newEvent, newEvents } from '../support/new-event.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const newFile = () => join(temporaryFolder(), 'events.db');
const open = (file: string, readOnly = false) => closedAfterTest(openSqliteEventStore({ file, readOnly }));

describeEventStoreContract('SQLite', async () => open(newFile()));

describeDamagedLogContract('SQLite', async () => {
  const file = newFile();
  const store = open(file);
  const db = new DatabaseSync(file);
  onTestFinished(() => db.close());
  const write = db.prepare('UPDATE events SET data = ? WHERE position = ?');
  return {
    store,
    damage({ position, data }) {
      write.run('{', position);
      return () => write.run(JSON.stringify(data), position);
    },
  };
});

describe('the SQLite event store', () => {
  it('has one writer, by whichever link its file is named', async () => {
    const file = newFile();
    open(file);
    const link = newFile();
    symlinkSync(file, link);
    expect(() => open(link)).toThrow(/is in use by another Keyturn/);
  });

  it('keeps events, revisions and positions over a reopen', async () => {
    const file = newFile();
    const first = open(file);
    const { position } = await first.append('a-1', newEvents(2), 'no_stream');
    await first.close();
    const second = open(file);
    expect(await Array.fromAsync(second.readStream('a-1'))).toHaveLength(2);
    const next = await second.append('a-1', [newEvent()], 1n);
    expect(next.revision).toBe(2n);
    expect(next.position).toBeGreaterThan(position);
  });

  it('is durable: full synchronization, write-ahead log, readable by its owner only', async () => {
    const file = newFile();
    await open(file).append('a-1', [newEvent()], 'any');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}-wal`).size).toBeGreaterThan(0);
  });

  it('groups concurrent appends into one commit', async () => {
    const file = newFile();
    const store = open(file);
    await store.append('a-0', [newEvent()], 'any');
    const walFrames = () => Math.floor((statSync(`${file}-wal`).size - 32) / (4096 + 24));
    const before = walFrames();
    await Promise.all(newEvents(100).map((event, index) => store.append(`b-${index}`, [event], 'no_stream')));
    // One commit each would write at least two pages (table and index) a hundred times over.
    expect(walFrames() - before).toBeLessThan(100);
  });

  it('lets one append of a group fail without the others', async () => {
    const store = open(newFile());
    const outcomes = await Promise.allSettled([
      store.append('a-1', [newEvent()], 'no_stream'),
      store.append('b-1', [newEvent()], 'stream_exists'),
      store.append('c-1', [newEvent()], 'no_stream'),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await Array.fromAsync(store.readAll())).toHaveLength(2);
  });

  it('refuses a second writer, says who the first is, and lets it in when that has closed', async () => {
    const file = newFile();
    const first = open(file);
    expect(() => open(file)).toThrow(EventStoreUnusableError);
    expect(() => open(file)).toThrow(
      new RegExp(`events.db is in use by another Keyturn: process ${process.pid} on`),
    );
    await first.close();
    await open(file).append('a-1', [newEvent()], 'any');
  });

  it('lets another process read and follow while it writes, but not write', async () => {
    const file = newFile();
    const writer = open(file);
    await writer.append('a-1', [newEvent('1')], 'any');
    const reader = open(file, true);
    const labels: unknown[] = [];
    for await (const batch of reader.subscribe()) {
      labels.push(...batch.events.map((event) => event.data['label']));
      if (labels.length === 1) await writer.append('a-1', [newEvent('2')], 'any');
      if (labels.length === 2) break;
    }
    expect(labels).toEqual(['1', '2']);
    await expect(reader.append('a-1', [newEvent()], 'any')).rejects.toThrow(/readonly/);
  });

  it('loses no acknowledged append, and keeps none in half, when the writer is killed', async () => {
    const file = newFile();
    const writer = spawn(process.execPath, [join(import.meta.dirname, 'sqlite-writer.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(writer, 'exit');
    let acknowledged = -1n;
    let lines = 0;
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged = BigInt(line);
      if (++lines === 200) writer.kill('SIGKILL');
    }
    await exited;
    const store = open(file);
    const stored = await Array.fromAsync(store.readStream('a-1'));
    expect(BigInt(stored.length)).toBeGreaterThan(acknowledged);
    expect(stored.length % 2).toBe(0);
    expect(stored.map((event) => event.revision)).toEqual(stored.map((_, index) => BigInt(index)));
    await store.append('a-1', [newEvent()], BigInt(stored.length - 1));
  });

  it('opens after its write-ahead log was torn, with all whole commits before the tear', async () => {
    const file = newFile();
    const writer = open(file);
    for (let index = 0; index < 20; index++) await writer.append('a-1', [newEvent()], 'any');
    const copy = newFile();
    copyFileSync(file, copy);
    copyFileSync(`${file}-wal`, `${copy}-wal`);
    truncateSync(`${copy}-wal`, statSync(`${copy}-wal`).size - 100);
    const stored = await Array.fromAsync(open(copy).readStream('a-1'));
    expect(stored).toHaveLength(19);
  });

  it('refuses a file that is no event log, and leaves it as it is', () => {
    const file = newFile();
    const foreign = new DatabaseSync(file);
    foreign.exec('CREATE TABLE theirs (x)');
    foreign.close();
    expect(() => open(file)).toThrow(/is not an event log of Keyturn/);
    writeFileSync(file, 'some text that is long enough to be no SQLite header at all'.repeat(20));
    expect(() => open(file)).toThrow(/not a database/);
    expect(readFileSync(file, 'utf8')).toMatch(/^some text/);
  });

  it('holds no lock on a damaged log', async () => {
    const file = newFile();
    await open(file).close();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xff, 4096, 8192));
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => open(file)).toThrow(EventStoreUnusableError);
      expect(() => open(file)).toThrow(/is damaged/);
    }
  });

  it('refuses a log of a newer schema version', async () => {
    const file = newFile();
    await open(file).close();
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 2');
    db.close();
    expect(() => open(file)).toThrow(/has schema version 2.*up to 1: upgrade/);
  });

  it('rejects every append of a group when the file cannot be written, and works again afterwards', async () => {
    const file = newFile();
    const store = open(file);
    await store.append('a-1', [newEvent()], 'any');
    const other = new DatabaseSync(file, { timeout: 0 });
    other.exec('BEGIN IMMEDIATE');
    const appends = await Promise.allSettled([
      store.append('a-1', [newEvent()], 'any'),
      store.append('b-1', [newEvent()], 'any'),
    ]);
    expect(appends.map((append) => append.status)).toEqual(['rejected', 'rejected']);
    other.exec('ROLLBACK');
    other.close();
    expect((await store.append('a-1', [newEvent()], 0n)).revision).toBe(1n);
    expect((await store.append('b-1', [newEvent()], 'no_stream')).revision).toBe(0n);
  });

  it('forgets what it wrote of a group that then failed', async () => {
    const file = newFile();
    const store = open(file);
    const breaking = new DatabaseSync(file);
    breaking.exec(`CREATE TRIGGER broken BEFORE INSERT ON events WHEN new.type = 'Broken'
      BEGIN SELECT raise(ABORT, 'disk I/O error'); END`);
    const [first, second] = newEvents(2) as [NewEvent, NewEvent];
    const appends = await Promise.allSettled([
      store.append('a-1', [first], 'any'),
      store.append('b-1', [newEvent()], 'no_stream'),
      store.append('b-1', [newEvent('broken', 'Broken')], 0n),
    ]);
    expect(appends.map((append) => append.status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(await Array.fromAsync(store.readStream('b-1'))).toEqual([]);
    expect((await store.append('a-1', [first], 'any')).revision).toBe(0n);
    expect((await store.append('b-1', [second], 'no_stream')).revision).toBe(0n);
    expect(await Array.fromAsync(store.readAll())).toHaveLength(2);
    breaking.close();
  });

  it('recognizes a repetition by its ids after it was opened again', async () => {
    const file = newFile();
    const events = newEvents(2);
    const first = open(file);
    const result = await first.append('a-1', events, 'any');
    await first.close();
    const second = open(file);
    expect(await second.append('a-1', events, 'any')).toEqual(result);
    expect((await second.append('b-1', events, 'any')).revision).toBe(1n);
  });

  it('gives a subscriber every event as it is stored, however far it falls behind, and however large they are', async () => {
    const store = open(newFile());
    const large = { ...newEvent('large'), data: { label: 'large', text: 'x'.repeat(50_000) } };
    const lags = fc.array(
      fc.oneof(
        fc.integer({ min: 1, max: 1500 }).map((count) => newEvents(count)),
        fc.constant(null),
      ),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(lags, async (appends) => {
        const after = (await Array.fromAsync(store.readAll({ direction: 'backwards', limit: 1 })))[0]
          ?.position;
        const received: RecordedEvent[] = [];
        const count = appends.reduce((sum, events) => sum + (events?.length ?? 1), 0);
        const subscription = store.subscribe(after === undefined ? {} : { after })[Symbol.asyncIterator]();
        // Each batch is asked for after another append only, until there are none left.
        const rest = [...appends];
        do {
          const events = rest.shift();
          if (events !== undefined) {
            const again = (events ?? [large]).map((event) => ({ ...event, id: randomUUID() }));
            await store.append('a-1', again, 'any');
          }
          const batch = await subscription.next();
          received.push(...(batch.value?.events ?? []));
        } while (received.length < count);
        await subscription.return?.();
        const stored = await Array.fromAsync(store.readAll(after === undefined ? {} : { after }));
        expect(received).toEqual(stored);
      }),
      { numRuns: 8 },
    );
  });

  it('gives a subscriber all that stands before an event that cannot be read', async () => {
    const file = newFile();
    const store = open(file);
    await store.append('a-1', newEvents(700), 'no_stream');
    const db = new DatabaseSync(file);
    for (const unreadable of [1, 2, 600, 700]) {
      const damage = db.prepare('UPDATE events SET data = ? WHERE revision = ?');
      damage.run('{', unreadable - 1);
      const received: RecordedEvent[] = [];
      const follow = async () => {
        for await (const { events, position, caughtUp } of store.subscribe()) {
          received.push(...events);
          expect([position, caughtUp]).toEqual([received.at(-1)?.position, false]);
        }
      };
      await expect(follow()).rejects.toMatchObject({
        code: 'UNREADABLE_EVENT',
        revision: BigInt(unreadable - 1),
      });
      expect(received).toHaveLength(unreadable - 1);
      damage.run('{}', unreadable - 1);
    }
    db.close();
  });

  it('knows where a stream ends that it wrote to or read, and nothing of others', async () => {
    const store = open(newFile());
    expect(store.endsBefore?.('a-1', 0n)).toBe(false);
    await Array.fromAsync(store.readStream('a-1'));
    expect(store.endsBefore?.('a-1', 0n)).toBe(true);
    await store.append('a-1', newEvents(2), 'no_stream');
    expect(store.endsBefore?.('a-1', 1n)).toBe(false);
    expect(store.endsBefore?.('a-1', 2n)).toBe(true);
  });

  it('reads what a filter asks for, be it rare in the log or not', async () => {
    const store = open(newFile());
    const labels = async (options: ReadAllOptions) =>
      (await Array.fromAsync(store.readAll(options))).map((event) => event.data['label']);
    // More than the index is used for.
    for (let append = 0; append < 11; append++) await store.append('many-1', newEvents(1000), 'any');
    for (let index = 0; index < 5; index++) {
      await store.append('rare-1', [newEvent(`rare ${index}`)], 'any');
      await store.append('many-2', [newEvent(`many ${index}`)], 'any');
    }
    const all = await Array.fromAsync(store.readAll());
    const prefixes = fc.subarray(['rare-', 'many-2', 'many-', 'none-']);
    const after = fc.option(fc.integer({ min: 10_990, max: 11_012 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(
        prefixes,
        after,
        fc.boolean(),
        fc.nat(12),
        async (streamPrefixes, position, back, limit) => {
          const expected = (back ? all.toReversed() : all)
            .filter(({ stream }) => streamPrefixes.some((prefix) => stream.startsWith(prefix)))
            .filter(
              (event) =>
                position === undefined || (back ? event.position < position : event.position > position),
            )
            .slice(0, limit)
            .map((event) => event.data['label']);
          const options = {
            filter: { streamPrefixes },
            limit,
            direction: back ? 'backwards' : 'forwards',
            ...(position !== undefined && { after: BigInt(position) }),
          } as const;
          expect(await labels(options)).toEqual(expected);
        },
      ),
    );
  });
});
