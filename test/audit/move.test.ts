import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { AuditError } from '../../src/audit/audit-error.ts';
import { exportLog } from '../../src/audit/export.ts';
import { importLog } from '../../src/audit/import.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import type { EventStore, NewEvent, RecordedEvent } from '../../src/eventstore/event-store.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { hashOfEvent } from '../../src/eventstore/hash-chain.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { emptyStore } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { withAppend } from '../support/faulty-event-store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const newFile = () => join(temporaryFolder(), 'events.ndjson');

async function emptyEventStoreDb(): Promise<EventStore> {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  return closedAfterTest(openEventStoreDbEventStore({ connectionString: server.connectionString }));
}

/** All that a move has to keep, in log order. */
async function contentOf(store: EventStore) {
  const events = await Array.fromAsync(store.readAll());
  return events.map(({ position: _, recordedAt: __, ...event }) => event);
}

/** `count` events with hash chains, in runs of up to 40 events of one of 500 streams. */
async function fill(store: EventStore, count: number): Promise<void> {
  const heads = new Map<string, { revision: bigint; hash: string }>();
  for (let made = 0, turn = 0; made < count; turn++) {
    const stream = `machineUser-${(turn * 7919) % 500}`;
    const before = heads.get(stream);
    let { revision, hash } = before ?? { revision: -1n, hash: null as string | null };
    const events: NewEvent[] = [];
    for (let index = 0; index < Math.min(1 + (turn % 40), count - made); index++) {
      const event = {
        id: randomUUID(),
        type: 'SomethingHappened',
        data: { label: `${turn}/${index}`, text: 'ünï "quoted"\n\u{1F511}' },
        metadata: { previousHash: hash, occurredAt: '2026-01-02T03:04:05.678Z' },
      };
      revision += 1n;
      hash = hashOfEvent({ ...event, stream, revision });
      events.push(event);
    }
    await store.append(stream, events, before?.revision ?? 'no_stream');
    heads.set(stream, { revision, hash: hash ?? '' });
    made += events.length;
  }
}

test('100,000 events go to EventStoreDB and back with nothing lost, and equal hash chains', async () => {
  const first = emptyStore();
  await fill(first, 100_000);
  const [there, back] = [newFile(), newFile()];
  expect(await exportLog(first, there)).toBe(100_000);
  const eventStoreDb = await emptyEventStoreDb();
  expect(await importLog(eventStoreDb, there)).toEqual({ events: 100_000, found: 0 });
  expect(await exportLog(eventStoreDb, back)).toBe(100_000);
  const second = emptyStore();
  expect(await importLog(second, back)).toEqual({ events: 100_000, found: 0 });

  const content = await contentOf(first);
  expect(content).toHaveLength(100_000);
  const chains = (events: readonly Omit<RecordedEvent, 'position' | 'recordedAt'>[]) =>
    new Map(events.map((event) => [event.stream, hashOfEvent(event)]));
  for (const copy of [eventStoreDb, second]) {
    const copied = await contentOf(copy);
    expect(copied).toEqual(content);
    expect(chains(copied)).toEqual(chains(content));
  }
  expect(await verifyLog({ eventStore: second }, {})).toMatchObject({ events: 100_000, fault: undefined });
}, 480_000);

describe('an export', () => {
  it('is a file for its owner only, one event a line between a first and a last line', async () => {
    const { eventStore } = await auditedLog();
    const file = newFile();
    const events = await exportLog(eventStore, file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const lines = readFileSync(file, 'utf8').split('\n');
    expect(lines).toHaveLength(events + 3);
    expect(JSON.parse(lines[0] ?? '')).toEqual({ keyturn: 'events', version: 1 });
    const [recorded] = await Array.fromAsync(eventStore.readAll({ limit: 1 }));
    expect(JSON.parse(lines[1] ?? '')).toEqual({
      ...recorded,
      revision: '0',
      position: String(recorded?.position),
      recordedAt: recorded?.recordedAt.toISOString(),
    });
    expect(JSON.parse(lines.at(-2) ?? '')).toMatchObject({ keyturn: 'end', events: String(events) });
  });

  it('that was cut off anywhere is continued to the same file', async () => {
    const { eventStore } = await auditedLog();
    const whole = newFile();
    await exportLog(eventStore, whole);
    const content = readFileSync(whole);
    for (let cut = content.length - 1; cut > 0; cut -= cut > 397 ? 397 : 7) {
      const file = newFile();
      writeFileSync(file, content.subarray(0, cut));
      await exportLog(eventStore, file);
      expect(readFileSync(file).equals(content)).toBe(true);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  });

  it('that is there already is brought up to date', async () => {
    const { eventStore, machineUsers } = await auditedLog();
    const [file, whole] = [newFile(), newFile()];
    const before = await exportLog(eventStore, file);
    await machineUsers.setSecret(
      { userId: 'one', organizationId: 'org-1' },
      { editor: null, correlationId: 'c', causationId: 'c' },
    );
    expect(await exportLog(eventStore, file)).toBe(before + 1);
    await exportLog(eventStore, whole);
    expect(readFileSync(file, 'utf8')).toBe(readFileSync(whole, 'utf8'));
  });

  it('names an event of the log that was changed', async () => {
    const log = await auditedLog();
    log.tamper(
      `UPDATE events SET data = json_set(data, '$.name', 'Mallory') WHERE type = 'MachineUserAdded' AND stream = 'machineUser-one'`,
    );
    await expect(exportLog(log.eventStore, newFile())).rejects.toThrow(
      /of stream machineUser-one .*is changed/,
    );
  });

  it('refuses to continue a file of another log, or another file, and leaves it', async () => {
    const [one, other] = [await auditedLog(), await auditedLog()];
    const file = newFile();
    await exportLog(one.eventStore, file);
    const before = readFileSync(file, 'utf8');
    await expect(exportLog(other.eventStore, file)).rejects.toThrow(/holds events of another log/);
    expect(readFileSync(file, 'utf8')).toBe(before);
    const foreign = newFile();
    writeFileSync(foreign, 'my diary\n');
    await expect(exportLog(one.eventStore, foreign)).rejects.toThrow(/is not a file of events/);
    expect(readFileSync(foreign, 'utf8')).toBe('my diary\n');
  });
});

describe('an import', () => {
  it.each([0, 1, 2, 5, 9])(
    'that is cut off after %d appends is finished by the next one',
    async (appends) => {
      const { eventStore } = await auditedLog();
      const file = newFile();
      const events = await exportLog(eventStore, file);
      const target = emptyStore();
      let left = appends;
      const cut = withAppend(target, async (append, ...args) => {
        if (left-- === 0) throw new Error('power cut');
        return append(...args);
      });
      await expect(importLog(cut, file)).rejects.toThrow('power cut');
      const { length: found } = await contentOf(target);
      expect(await importLog(target, file)).toEqual({ events, found });
      expect(await contentOf(target)).toEqual(await contentOf(eventStore));
      expect(await importLog(target, file)).toEqual({ events, found: events });
    },
  );

  it('refuses a store with other events, and adds nothing', async () => {
    const [one, other] = [await auditedLog(), await auditedLog()];
    const file = newFile();
    await exportLog(one.eventStore, file);
    const before = await contentOf(other.eventStore);
    await expect(importLog(other.eventStore, file)).rejects.toThrow(/holds other events than the file/);
    expect(await contentOf(other.eventStore)).toEqual(before);
  });

  it('refuses a store that holds more than the file', async () => {
    const { eventStore, machineUsers } = await auditedLog();
    const file = newFile();
    await exportLog(eventStore, file);
    await machineUsers.setSecret(
      { userId: 'one', organizationId: 'org-1' },
      { editor: null, correlationId: 'c', causationId: 'c' },
    );
    await expect(importLog(eventStore, file)).rejects.toThrow(/more events than the file/);
  });

  const damages: [string, (file: string) => void, RegExp][] = [
    [
      'cut off',
      (file) => truncateSync(file, statSync(file).size - 20),
      /no last line: its export was cut off/,
    ],
    [
      'changed',
      (file) => edit(file, (lines) => lines.map((line) => line.replace('"Robot"', '"Mallory"'))),
      /is changed/,
    ],
    [
      'without an event',
      (file) => edit(file, (lines) => lines.filter((line) => !line.includes('MachineUserDeactivated'))),
      /is missing/,
    ],
    [
      'without its last event',
      (file) => edit(file, (lines) => lines.toSpliced(-3, 1)),
      /not as it was exported/,
    ],
    [
      'with a line that is no event',
      (file) => edit(file, (lines) => lines.toSpliced(4, 0, '{"stream":""}')),
      /line 5 is not an event/,
    ],
    ['of another kind', (file) => writeFileSync(file, 'a,b,c\n'), /is not a file of events/],
    ['empty', (file) => writeFileSync(file, ''), /is not a file of events/],
  ];
  it.each(damages)('refuses a file that is %s before anything is written', async (_, damage, message) => {
    const { eventStore } = await auditedLog();
    const file = newFile();
    await exportLog(eventStore, file);
    damage(file);
    const target = emptyStore();
    const refused = importLog(target, file);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toThrow(AuditError);
    expect(await contentOf(target)).toEqual([]);
  });

  function edit(file: string, change: (lines: readonly string[]) => string[]): void {
    const lines = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, '');
    appendFileSync(file, change(lines).join('\n'));
  }
});
