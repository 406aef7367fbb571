import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openedLog, PersonalFields } from '../../src/application/personal-fields.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { openSqlitePersonalKeys } from '../../src/eventstore/sqlite/sqlite-personal-keys.ts';
import { type EventSelection, FeedEventReader, isSelected } from '../../src/subscriptions/feed-event.ts';
import { publishedEventTypes } from '../../src/subscriptions/published-events.ts';
import { StoredFeed } from '../../src/subscriptions/stored-feed.ts';
import { givenTime } from '../support/given-when-then.ts';
import { sampleEvents } from '../support/sample-events.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const source = 'https://keyturn.example';
const organizations = ['org-1', 'org-2'];
const users = ['user-1', 'user-2', 'user-3'];

/** A log with an event of every type, of users of two organizations, with personal fields sealed. The last user is erased. */
async function log() {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  const personalKeys = { file: join(folder, 'personal-keys.db'), wrappingKeys: [randomBytes(32)] };
  const keys = openSqlitePersonalKeys(personalKeys);
  const fields = new PersonalFields(keys);
  const store = openSqliteEventStore({ file });
  const feed = new StoredFeed({ file, personalKeys });
  onTestFinished(async () => {
    await feed.close();
    await store.close();
    keys.close();
  });
  const append = async (stream: string, event: ReturnType<typeof sampleEvents>[number]) => {
    const { type, metadata } = event;
    const id = randomUUID();
    const data = await fields.seal({ stream, id, type, data: event.data });
    await store.append(stream, [{ id, type, data, metadata }], 'any');
  };
  // Users are added first: that tells whose they are.
  const samples = sampleEvents()
    .filter(({ type }) => type !== 'MachineUserErased')
    .toSorted((a, b) => Number(b.type === 'MachineUserAdded') - Number(a.type === 'MachineUserAdded'));
  for (const event of samples) {
    const category = event.stream.slice(0, event.stream.indexOf('-'));
    for (const [index, userId] of users.entries()) {
      const owner = organizations[index % organizations.length] ?? '';
      const data = { ...event.data, ...('organizationId' in event.data && { organizationId: owner }) };
      await append(`${category}-${userId}`, { ...event, data });
    }
  }
  await append('machineUser-user-3', erasure());
  await fields.erase('user-3', givenTime);
  return { folder, file, store, fields, feed, append, opened: openedLog(store, fields) };
}

function erasure() {
  const [event] = sampleEvents().filter(({ type }) => type === 'MachineUserErased');
  if (event === undefined) throw new Error('an event expected');
  return event;
}

type Log = Awaited<ReturnType<typeof log>>;

const messageOf = (position: number | bigint, json: string) => `${position} ${json}\n`;

/** As the feed for everyone tells it. */
async function toldByFeed({ opened }: Log, after: bigint, until: bigint, selection: EventSelection) {
  const reader = new FeedEventReader(opened, () => source);
  let text = '';
  for await (const recorded of opened.readAll({ after })) {
    if (recorded.position > until) break;
    const event = await reader.read(recorded);
    if (isSelected(event, selection)) text += messageOf(event.position, event.json);
  }
  return text;
}

async function toldByStoredFeed({ feed }: Log, after: bigint, until: bigint, selection: EventSelection) {
  let text = '';
  let position = after;
  while (position < until) {
    const part = await feed.read({ after: position, until, selection, source }, messageOf);
    expect(part.position).toBeGreaterThan(position);
    text += part.text;
    position = part.position;
  }
  return { text, position };
}

const headOf = async ({ store }: Log) => {
  for await (const { position } of store.readAll({ direction: 'backwards', limit: 1 })) return position;
  return 0n;
};

describe('the log as a thread reads it', () => {
  it('is told as by the feed, whatever is selected, from anywhere to anywhere', async () => {
    const written = await log();
    const head = await headOf(written);
    const position = fc.bigInt({ min: 0n, max: head });
    const selection = fc.record({
      types: fc.subarray(publishedEventTypes, { maxLength: 5 }),
      organizationId: fc.constantFrom(undefined, ...organizations),
      userId: fc.constantFrom(undefined, ...users),
    });
    const run = fc.asyncProperty(position, position, selection, async (one, other, selected) => {
      const [after, until] = one < other ? [one, other] : [other, one];
      const told = await toldByStoredFeed(written, after, until, selected);
      expect(told).toEqual({ text: await toldByFeed(written, after, until, selected), position: until });
    });
    await fc.assert(run, {
      numRuns: 30,
      examples: [[0n, head, { types: [], organizationId: undefined, userId: undefined }]],
    });
  });

  it('does not tell who a user was from the moment on that the user is erased', async () => {
    const written = await log();
    const head = await headOf(written);
    const added: EventSelection = { types: ['MachineUserAdded'], userId: 'user-1' };
    const before = await toldByStoredFeed(written, 0n, head, added);
    expect(before.text).toContain('"name":"name-value"');
    await written.fields.erase('user-1', '2026-03-04T05:06:07.890Z');
    const after = await toldByStoredFeed(written, 0n, head, added);
    expect(after.text).toContain('"name":"(erased 2026-03-04T05:06:07.890Z)"');
    expect(after.text).not.toContain('name-value');
  });

  it('does not tell who a user was from the event on that says so, also where the key is there still', async () => {
    const written = await log();
    const names = async () => {
      const added = { types: ['MachineUserAdded' as const] };
      const { text } = await toldByStoredFeed(written, 0n, await headOf(written), added);
      return [...text.matchAll(/"name":"([^"]*)"/g)].map(([, name]) => name);
    };
    const erased = `(erased ${givenTime})`;
    expect(await names()).toEqual(['name-value', 'name-value', erased]);
    await written.append('machineUser-user-2', erasure());
    expect(await names()).toEqual(['name-value', erased, erased]);
  });

  it('comes in parts, however much there is', async () => {
    const written = await log();
    const [sample] = sampleEvents().filter(({ type }) => type === 'MachineSecretSet');
    if (sample === undefined) throw new Error('an event expected');
    const { type, data, metadata } = sample;
    for (let batch = 0; batch < 10; batch++) {
      const events = Array.from({ length: 100 }, () => ({ id: randomUUID(), type, data, metadata }));
      await written.store.append('machineUser-user-1', events, 'any');
    }
    const head = await headOf(written);
    const part = await written.feed.read({ after: 0n, until: head, selection: {}, source }, messageOf);
    expect(part.position).toBeLessThan(head);
    expect(part.text.length).toBeLessThan(256 * 1024);
    const { text } = await toldByStoredFeed(written, 0n, head, {});
    expect(text).toBe(await toldByFeed(written, 0n, head, {}));
  });

  it.each([
    ['of a newer version', `json_set(metadata, '$.schemaVersion', 99)`, 'metadata'],
    ['whose data does not fit its type', `json_set(data, '$.secretId', 7)`, 'data'],
    ['whose data is no JSON', `'{"secretId":'`, 'data'],
    ['without the time', `json_remove(metadata, '$.occurredAt')`, 'metadata'],
    ['of a type that nobody knows', `'MachineSecretGuessed'`, 'type'],
  ])('ends at an event %s', async (_, value, column) => {
    const written = await log();
    const db = new DatabaseSync(written.file);
    db.exec(
      `UPDATE events SET ${column} = ${value} WHERE stream = 'machineUser-user-2' AND type = 'MachineSecretSet'`,
    );
    db.close();
    const until = await headOf(written);
    const request = { after: 0n, until, selection: {}, source };
    await expect(written.feed.read(request, messageOf)).rejects.toThrow();
  });
});
