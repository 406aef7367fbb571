import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { CatchUpThread } from '../../src/api/events/catch-up-thread.ts';
import { PersonalFields } from '../../src/application/personal-fields.ts';
import { headOf } from '../../src/eventstore/head.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { openSqlitePersonalKeys } from '../../src/eventstore/sqlite/sqlite-personal-keys.ts';
import { damage } from '../support/damaged-log.ts';
import { appendSecretsSet, openEventSource } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { adminToken, runningService } from '../support/running-service.ts';
import { sampleEvents } from '../support/sample-events.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const count = 12_000;
const request = { after: 0n, selection: { types: [] }, source: 'https://keyturn.example', idSuffix: '.key' };
const told = { position: BigInt(count) };

/** A thread that is ready, on a log of many secrets set. */
async function catchUp() {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  const personalKeys = { file: join(folder, 'personal-keys.db'), wrappingKeys: [randomBytes(32)] };
  const keys = openSqlitePersonalKeys(personalKeys);
  onTestFinished(() => keys.close());
  const fields = new PersonalFields(keys);
  const store = openSqliteEventStore({ file });
  onTestFinished(() => store.close());
  const [added] = sampleEvents().filter(({ type }) => type === 'MachineUserAdded');
  if (added === undefined) throw new Error('an event expected');
  const add = async (userId: string) => {
    const stream = `machineUser-${userId}`;
    const event = { ...added, stream, id: randomUUID() };
    await store.append(stream, [{ ...event, data: await fields.seal(event) }], 'no_stream');
  };
  await add('busy');
  await appendSecretsSet(store, 'busy', 399);
  await add('other');
  await appendSecretsSet(store, 'busy', count - 401);
  const onFailure = (error: unknown) => expect.unreachable(String(error));
  const thread = new CatchUpThread({ log: { file, personalKeys }, onFailure });
  onTestFinished(() => thread.close());
  expect(thread.isFor(9_999n)).toBe(false);
  expect(thread.isFor(BigInt(count))).toBe(false);
  await eventually(() => expect(thread.isFor(BigInt(count))).toBe(true), 20_000);
  const read = async (signal = new AbortController().signal) => {
    let text = '';
    for await (const part of thread.parts(request, told, signal)) text += part.text;
    return [...text.matchAll(/^id: (\d+)\.key\ndata: [^\n]*"position":"(\d+)"[^\n]*\n\n/gm)];
  };
  return { thread, file, fields, read };
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => String(index + 1));

test('a thread that has started tells all but the last few, once and in order', async () => {
  const { read } = await catchUp();
  const messages = await read();
  expect(messages.length).toBeGreaterThan(count - 256);
  expect(messages.map(([, id]) => id)).toEqual(upTo(messages.length));
  expect(messages.map(([, , position]) => position)).toEqual(upTo(messages.length));
});

test('at an event that cannot be read it leaves the rest to others, and goes on elsewhere', async () => {
  const { file, read, thread } = await catchUp();
  const db = new DatabaseSync(file);
  db.exec(`UPDATE events SET data = '{}' WHERE position = 5000`);
  db.close();
  const messages = await read();
  expect(messages.map(([, id]) => id)).toEqual(upTo(messages.length));
  expect(messages.length).toBeGreaterThan(4000);
  expect(messages.length).toBeLessThan(5000);
  const after = { ...request, after: 5000n };
  const rest = thread.parts(after, told, new AbortController().signal);
  expect((await rest.next()).value?.text).toMatch(/^id: 5001\.key\n/);
});

test.each(['', '.key'])(
  'what was made before somebody was erased is not given after it, ids end with "%s"',
  async (idSuffix) => {
    const { thread, fields } = await catchUp();
    const { signal } = new AbortController();
    const parts = () => thread.parts({ ...request, idSuffix }, told, signal);
    const [reading, inFront] = [parts(), parts()];
    const first = await reading.next();
    expect(first.value?.text).toContain('name-value');
    expect(first.value?.position).toBeLessThan(401n);
    // What the other reader gets is answered after the second part of this one was.
    await inFront.next();
    expect((await inFront.next()).value?.text).toContain('name-value');
    await fields.erase('other', '2026-03-04T05:06:07.890Z');
    thread.forget();
    const second = (await reading.next()).value?.text;
    expect(second).toContain('(erased 2026-03-04T05:06:07.890Z)');
    expect(second).not.toContain('name-value');
  },
);

test('whoever waits is let go when it is closed', async () => {
  const { thread, read } = await catchUp();
  const reading = read();
  await thread.close();
  const messages = await reading;
  expect(messages.map(([, id]) => id)).toEqual(upTo(messages.length));
  expect(messages.length).toBeLessThan(count);
});

describe('a thread that fails', () => {
  const wrappingKeys = [randomBytes(32)];
  it.each([
    // What cannot be sent to a thread is refused as the thread is where the system gives none: by the constructor.
    ['cannot be started', (file: string) => ({ file, wrappingKeys: [() => {}] as unknown as Uint8Array[] })],
    ['ends at once', (file: string) => ({ file, wrappingKeys })],
  ])(
    'because it %s leaves readers to the feed, says why, and is started again after a while',
    async (_, keys) => {
      const file = join(temporaryFolder(), 'not-there.db');
      const failures: unknown[] = [];
      const thread = new CatchUpThread({
        log: { file, personalKeys: keys(file) },
        onFailure: (error) => failures.push(error),
      });
      onTestFinished(() => thread.close());
      const failsAgain = (times: number) =>
        eventually(() => {
          expect(thread.isFor(BigInt(count))).toBe(false);
          expect(failures).toHaveLength(times);
        });
      const started: Worker[] = [];
      const onWorker = (worker: Worker) => started.push(worker);
      process.on('worker', onWorker);
      onTestFinished(() => void process.off('worker', onWorker));
      await failsAgain(1);
      const hasEnded = ({ threadId }: Worker) => threadId === -1;
      await eventually(() => expect(started.every(hasEnded)).toBe(true));
      const startedBefore = started.length;
      for (let turn = 0; turn < 10; turn++) {
        expect(thread.isFor(BigInt(count))).toBe(false);
        await nextTurn();
      }
      expect(started).toHaveLength(startedBefore);
      expect(failures).toHaveLength(1);
      const later = performance.now() + 60_000;
      const now = vi.spyOn(performance, 'now').mockReturnValue(later);
      onTestFinished(() => now.mockRestore());
      await failsAgain(2);
    },
  );
});

test('a reader that is far behind gets every event once and in order, and what comes then', async () => {
  const running = await runningService({ heartbeatInterval: 50 });
  const token = await adminToken(running);
  const { eventStore } = running.service;
  const { userId } = running.admin;
  await appendSecretsSet(eventStore, userId, 4 * count);
  const query = `?after=0&type=MachineSecretSet&user=${userId}`;
  const { events } = openEventSource(`${running.url}/keyturn/v1/events${query}`, () => token);
  await eventually(() => expect(events.length).toBeGreaterThan(4 * count), 30_000);
  await appendSecretsSet(eventStore, userId, 1);
  await eventually(() => expect(events).toHaveLength(4 * count + 2));
  const versions = events.map(({ streamversion }) => Number(streamversion));
  expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  expect(new Set(versions).size).toBe(versions.length);
});

test('a reader that is far behind gets all that stands before an event that cannot be read', async () => {
  const running = await runningService({ heartbeatInterval: 50 });
  const token = await adminToken(running);
  const { eventStore } = running.service;
  const { userId } = running.admin;
  await appendSecretsSet(eventStore, userId, 4 * count);
  const head = await headOf(eventStore);
  const url = `${running.url}/keyturn/v1/events?type=MachineSecretSet&user=${userId}`;
  const told = openEventSource(`${url}&after=${head - 1n}`, () => token);
  await eventually(() => expect(told.events).toHaveLength(1), 20_000);
  const at = BigInt(3 * count);
  damage(join(running.dataDir, 'events.db'), at);
  const { events } = openEventSource(`${url}&after=0`, () => token);
  await eventually(() => expect(events.at(-1)?.position).toBe(String(at - 1n)), 30_000);
  const versions = events.map(({ streamversion }) => Number(streamversion));
  expect(versions).toEqual(versions.map((_, index) => index + (versions[0] ?? 0)));
  await eventually(() => expect(running.log()).toContain('event stream failed'));
});
