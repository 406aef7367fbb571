import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { writeEventLog } from '../../bench/event-log.ts';
import { openedLog, PersonalFields } from '../../src/application/personal-fields.ts';
import { AuditError } from '../../src/audit/audit-error.ts';
import { customProjectionOf, replayProjection } from '../../src/audit/replay/custom-projection.ts';
import { openSource, projectedBatches, receivedBatches } from '../../src/audit/replay/projected-batches.ts';
import { checkReadModel, replayInto } from '../../src/audit/replay/replay.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { openSqlitePersonalKeys } from '../../src/eventstore/sqlite/sqlite-personal-keys.ts';
import { Projector } from '../../src/projections/projector.ts';
import { ReadModel } from '../../src/projections/read-model.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { context, node, organizationId, robot, TestClock } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';
import { openReadModel } from '../support/read-model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A log that is long enough for a thread of its own, and a read model of it as the service builds it. */
async function longLog() {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  await writeEventLog(file, { events: 20_500, users: 300 });
  const eventStore = closedAfterTest(openSqliteEventStore({ file, readOnly: true }));
  return { eventStore, file, live: await projected(eventStore, join(folder, 'read-model.db')) };
}

async function projected(eventStore: EventStore, file: string): Promise<string> {
  const readModel = await openReadModel(file, eventStore);
  const projector = new Projector({ eventStore, readModel, clock: () => new Date() });
  projector.start();
  await projector.caughtUp;
  await projector.stop();
  readModel.close();
  return file;
}

function indexesOf(file: string): string[] {
  const db = new DatabaseSync(file, { readOnly: true });
  const indexes = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name`).all();
  db.close();
  return indexes.map(({ name }) => String(name));
}

const differences = (...args: Parameters<typeof checkReadModel>) => Array.fromAsync(checkReadModel(...args));

test('a replay by a thread of its own, and one without, build what the projector builds', async () => {
  const { eventStore, file, live } = await longLog();
  for (const log of [{ eventStore, file }, { eventStore }]) {
    const built = join(temporaryFolder(), 'read-model.db');
    expect(await replayInto(built, log)).toBe(true);
    expect(await differences(built, log)).toEqual([]);
    expect(await differences(live, log)).toEqual([]);
    expect(indexesOf(built)).toEqual(indexesOf(live));
  }
});

/** Into a file, and how far it was seen to come. On a busy machine one may be over before it is stopped: then another is. */
async function stoppedReplay(
  log: Parameters<typeof replayInto>[1],
): Promise<readonly [file: string, seen: readonly number[]]> {
  const stop = new AbortController();
  const seen: number[] = [];
  const file = join(temporaryFolder(), 'read-model.db');
  const onProgress = (position: number) => {
    seen.push(position);
    stop.abort();
  };
  const isWhole = await replayInto(file, log, { signal: stop.signal, onProgress });
  return isWhole ? stoppedReplay(log) : [file, seen];
}

test.each(['with a thread', 'without'])('a replay that was stopped goes on where it was, %s', async (how) => {
  const { eventStore, file, live } = await longLog();
  const log = how === 'without' ? { eventStore } : { eventStore, file };
  const [built, seen] = await stoppedReplay(log);
  const withoutIndexes = indexesOf(built);
  ReadModel.open(built).close();
  expect(indexesOf(built)).toEqual(withoutIndexes);
  const readModel = await openReadModel(built, eventStore);
  const { position } = readModel.checkpoint() ?? { position: 0n };
  readModel.close();
  expect(position).toBe(BigInt(seen.at(-1) ?? -1));
  expect(position).toBeLessThan(20_500n);
  const resumed: number[] = [];
  expect(await replayInto(built, log, { onProgress: (position) => void resumed.push(position) })).toBe(true);
  expect(resumed[0]).toBeGreaterThan(Number(position));
  expect(await differences(built, log)).toEqual([]);
  expect(indexesOf(built)).toEqual(indexesOf(live));
  expect(indexesOf(live)).not.toEqual(withoutIndexes);
});

test('a replay by a thread ends at an event that it cannot read, and takes data in any spelling of JSON', async () => {
  const { eventStore, file, live } = await longLog();
  const edit = (column: string, value: string) => {
    const db = new DatabaseSync(file);
    const { before } = db
      .prepare(`SELECT ${column} AS before FROM events WHERE position = 777`)
      .get() as unknown as { before: string };
    db.prepare(`UPDATE events SET ${column} = ? WHERE position = 777`).run(value);
    db.close();
    return before;
  };
  const built = () => replayInto(join(temporaryFolder(), 'read-model.db'), { eventStore, file });
  for (const [column, value, error] of [
    ['data', '{"secretId":', /at position 777, is not readable/],
    ['metadata', '{', /at position 777, is not readable/],
    ['metadata', '{}', /has no readable metadata/],
    ['data', '{"secretId":1}', /MachineSecretSet does not fit its schema/],
    ['type', 'MachineSecretForgotten', /MachineSecretForgotten is not an event type/],
  ] as const) {
    const before = edit(column, value);
    await expect(built()).rejects.toThrow(error);
    edit(column, before);
  }
  edit('data', JSON.stringify(JSON.parse(edit('data', '{}')), null, 2));
  expect(await differences(live, { eventStore, file })).toEqual([]);
});

test('a check names each row that is not as the log says, and no value', async () => {
  const log = await auditedLog();
  const live = await projected(log.eventStore, join(log.folder, 'read-model.db'));
  expect(await differences(live, log)).toEqual([]);
  const db = new DatabaseSync(live);
  db.exec(`
    UPDATE machine_secrets SET hashed_secret = 'forged' WHERE user_id = 'one';
    UPDATE machine_users SET state = 'locked', name = 'x' WHERE user_id = 'one';
    DELETE FROM machine_users WHERE user_id = 'two';
    INSERT INTO revoked_access_tokens VALUES ('forged', '2999-01-01')`);
  db.close();
  expect(await differences(live, log)).toEqual([
    {
      table: 'machine_secrets',
      key: { user_id: 'one', secret_id: expect.any(String) },
      kind: 'changed',
      columns: ['hashed_secret'],
    },
    { table: 'machine_users', key: { user_id: 'one' }, kind: 'changed', columns: ['name', 'state'] },
    { table: 'machine_users', key: { user_id: 'two' }, kind: 'missing', columns: [] },
    { table: 'revoked_access_tokens', key: { token_id: 'forged' }, kind: 'extra', columns: [] },
  ]);
});

test('a check compares with the log as far as the read model has come', async () => {
  const log = await auditedLog();
  const live = await projected(log.eventStore, join(log.folder, 'read-model.db'));
  await log.machineUsers.setSecret({ userId: 'one', organizationId }, context);
  expect(await differences(live, log)).toEqual([]);
  await expect(differences(join(log.folder, 'none.db'), log)).rejects.toThrow(AuditError);
  expect(existsSync(join(log.folder, 'none.db'))).toBe(false);
});

test('a projection of one own sees every event in log order, and gives a result', async () => {
  const { eventStore } = await auditedLog();
  const projection = {
    init: (): string[] => [],
    evolve: (seen: string[], event: { type: string; stream: string; revision: bigint }) => [
      ...seen,
      `${event.stream} ${event.revision} ${event.type}`,
    ],
  };
  const events = await Array.fromAsync(eventStore.readAll());
  const all = events.map(({ stream, revision, type }) => `${stream} ${revision} ${type}`);
  expect(await replayProjection(eventStore, projection)).toEqual(all);
  const result = (seen: string[]) => seen.length;
  expect(await replayProjection(eventStore, { ...projection, result })).toBe(all.length);
});

const zero = (): number => 0;

test.each([
  [{}, 'it must export a function `init`'],
  [{ init: zero }, 'it must export a function `evolve`'],
  [{ init: zero, evolve: zero, result: 1 }, 'its `result` is not a function'],
])('a module that is no projection is refused: %j', (module, message) => {
  expect(() => customProjectionOf(module, 'mine.ts')).toThrow(`mine.ts is no projection: ${message}`);
});

test('a thread of its own opens personal fields, and tells those that were erased', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  const personalKeys = { file: join(folder, 'personal-keys.db'), wrappingKeys: [new Uint8Array(32)] };
  const keys = openSqlitePersonalKeys(personalKeys);
  onTestFinished(() => keys.close());
  const personalFields = new PersonalFields(keys);
  const stored = closedAfterTest(openSqliteEventStore({ file }));
  const { machineUsers } = node(stored, new TestClock(), undefined, personalFields);
  for (const userId of ['one', 'two']) {
    await machineUsers.add({ ...robot, userId, userName: userId, name: `Name of ${userId}` }, context);
  }
  await personalFields.erase('one', '2026-03-04T05:06:07.890Z');
  const range = { types: new Set(['MachineUserAdded']) };
  const eventStore = openedLog(stored, personalFields);
  const log = { eventStore, file, personalKeys: { ...personalKeys, readOnly: true } };
  const byThread = await Array.fromAsync(receivedBatches(openSource(log, range).port));
  expect(byThread).toEqual(await Array.fromAsync(projectedBatches(eventStore, range)));
  const names = byThread.flatMap(({ events }) => events.map(({ data }) => (data as { name: string }).name));
  expect(names).toEqual(['(erased 2026-03-04T05:06:07.890Z)', 'Name of two']);
});
