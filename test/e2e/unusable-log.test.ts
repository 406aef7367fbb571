import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { writeEventLog } from '../../bench/event-log.ts';
import { runKeyturn } from '../support/keyturn-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A working directory whose log has an event that was changed. */
async function folderWithLog(events: number, change: string): Promise<string> {
  const folder = temporaryFolder();
  const file = join(folder, 'data/events.db');
  mkdirSync(join(folder, 'data'));
  await writeEventLog(file, { events, users: 10 });
  const db = new DatabaseSync(file);
  db.exec(`UPDATE events SET ${change} WHERE position = 77`);
  db.close();
  return folder;
}

const serve = ['serve', '--port', '0'];
/** In bytes: of SQLite's files, as Keyturn makes them. */
const pageLength = 4096;

// A long log is read by threads, and errors lose their class between them.
test.each([
  ['short', 100],
  ['long', 25_000],
])('an event that cannot be read, in a %s log, is named in one line', async (_, events) => {
  const folder = await folderWithLog(events, `data = '{"secretId":'`);
  const named = /^keyturn: event \d+ of stream machineUser-\d+, at position 77, is not readable/;
  const served = await runKeyturn(serve, folder);
  expect(served.stderr).toMatch(new RegExp(`${named.source}: keyturn verify tells what else is damaged\n$`));
  expect(served.stdout).not.toContain('waiting for the event store');
  const replayed = await runKeyturn(['replay'], folder);
  expect(replayed.stderr).toMatch(new RegExp(`${named.source}\n$`));
  expect([served.status, replayed.status]).toEqual([1, 1]);
});

test('a log with a damaged page is refused in one line, whichever it is', async () => {
  const intact = readFileSync(join(await folderWithLog(100, 'position = 77'), 'data/events.db'));
  const pages = intact.length / pageLength;
  expect(pages).toBeGreaterThan(5);
  for (const page of [0, 1, Math.floor(pages / 2)]) {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'data'));
    const damaged = Buffer.from(intact).fill(0xff, page * pageLength, (page + 1) * pageLength);
    writeFileSync(join(folder, 'data/events.db'), damaged);
    const { status, stderr } = await runKeyturn(serve, folder);
    expect(stderr, `page ${page}`).toMatch(/^keyturn: .*(is damaged|not an event log).*\n$/);
    expect(status).toBe(1);
  }
});

test('a log with an event of a later version is refused in one line', async () => {
  const folder = await folderWithLog(25_000, `type = 'MachineUserCloned'`);
  const refusal = 'keyturn: MachineUserCloned is not an event type that this Keyturn knows: upgrade it\n';
  for (const command of [serve, ['replay']]) {
    expect(await runKeyturn(command, folder)).toMatchObject({ status: 1, stderr: refusal });
  }
});
