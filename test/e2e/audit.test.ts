import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { runKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function stoppedInstance(): Promise<string> {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder);
  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  return folder;
}

describe('keyturn verify', () => {
  it('finds the log of a running and of a stopped instance intact', async () => {
    const folder = temporaryFolder();
    const keyturn = await serveKeyturn(folder);
    const running = await runKeyturn(['verify'], folder);
    expect(running).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^intact: \d+ events/),
      stderr: '',
    });
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
    expect(await runKeyturn(['verify'], folder)).toMatchObject({ status: 0, stdout: running.stdout });
  });

  it('names the event that was edited, and ends with status 1', async () => {
    const folder = await stoppedInstance();
    const db = new DatabaseSync(join(folder, 'data/events.db'));
    db.exec(
      `UPDATE events SET metadata = json_remove(metadata, '$.editor') WHERE stream = 'instance-keyturn' AND revision = 1`,
    );
    db.close();
    const text = await runKeyturn(['verify'], folder);
    expect(text.status).toBe(1);
    expect(text.stdout).toMatch(/^BROKEN: event 1 of stream instance-keyturn at position \d+ is changed: /);
    const json = await runKeyturn(['verify', '--format', 'json'], folder);
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      intact: false,
      fault: { kind: 'changed', stream: 'instance-keyturn', revision: '1' },
    });
  });

  it('says where it looked when there is no log, and makes nothing', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'data'));
    const { status, stderr } = await runKeyturn(['verify', '--data-dir', 'elsewhere'], folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^keyturn: there is no event log at .*elsewhere\/events\.db/);
  });
});

describe('with the event store of several machines', () => {
  it('its log is read, and what is for the embedded store is refused', async () => {
    const folder = temporaryFolder();
    const server = await EventStoreDbServer.start();
    onTestFinished(() => server.stop());
    const environment = { KEYTURN_EVENTSTORE: server.connectionString };
    const verified = await runKeyturn(['verify'], folder, environment);
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringMatching(/^intact: 0 events/) });
    for (const command of [['backup', 'b.db'], ['restore', 'b.db'], ['replay']]) {
      const refused = await runKeyturn(command, folder, environment);
      expect([refused.status, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/^keyturn: this is for the embedded event store only: /),
      ]);
    }
  });
});

describe('keyturn history', () => {
  it('shows a user of a running instance as a table, JSON, NDJSON and CSV', async () => {
    const folder = temporaryFolder();
    await serveKeyturn(folder);
    const shown = async (...args: string[]) => {
      const { status, stdout, stderr } = await runKeyturn(['history', 'admin', ...args], folder);
      expect([status, stderr]).toEqual([0, '']);
      return stdout;
    };
    expect(await shown()).toMatch(/MachineUserAdded .*Keyturn/);
    const json = JSON.parse(await shown('--format', 'json'));
    expect(json.map((entry: { type: string }) => entry.type)).toEqual([
      'MachineUserAdded',
      'MachineSecretSet',
      'InstanceMemberAdded',
    ]);
    const lines = (await shown('--format', 'ndjson')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(json);
    const [head, ...rows] = (await shown('--format', 'csv', '--type', 'MachineSecretSet'))
      .trimEnd()
      .split('\n');
    expect(head).toMatch(/^time,type,sequence,/);
    expect(rows).toEqual([expect.stringContaining(',MachineSecretSet,2,')]);
  });

  it.each([
    [['nobody'], 'keyturn: there is no machine user with the id or the user name "nobody"\n'],
    [['admin', '--type', 'Nonsense'], 'keyturn: Nonsense is no event type: docs/events.md lists them\n'],
    [['admin', '--since', 'yesterday'], expect.stringContaining('It must be a time as 2026-01-31T14:05:00Z')],
  ])('refuses %j and says why', async (args, message) => {
    const folder = await stoppedInstance();
    expect(await runKeyturn(['history', ...args], folder)).toMatchObject({
      status: 1,
      stdout: '',
      stderr: message,
    });
  });
});

describe('keyturn as-of and keyturn diff', () => {
  it('show who could sign in, and what the first start changed', async () => {
    const folder = await stoppedInstance();
    const now = await runKeyturn(['as-of', '2999-01-01'], folder);
    expect(now).toMatchObject({ status: 0, stderr: '' });
    expect(now.stdout).toMatch(/admin .*active .*yes .*IAM_OWNER in the instance/);
    const json = await runKeyturn(['as-of', '2999-01-01', '--user', 'admin', '--format', 'json'], folder);
    expect(JSON.parse(json.stdout)).toMatchObject([{ userName: 'admin', canSignIn: true, state: 'active' }]);
    expect((await runKeyturn(['as-of', '0'], folder)).stdout).toContain('No machine users.');
    const diff = await runKeyturn(['diff', '0', '2999-01-01', '--format', 'ndjson'], folder);
    expect(JSON.parse(diff.stdout)).toMatchObject({ kind: 'added', userName: 'admin' });
    expect((await runKeyturn(['diff', '3', '3'], folder)).stdout).toBe('No difference.\n');
    const wrong = await runKeyturn(['as-of', 'noon'], folder);
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/^keyturn: "noon" is neither a position nor a time/),
    ]);
  });
});

describe('keyturn replay', () => {
  const example = join(import.meta.dirname, '../../docs/examples/rotations-per-week.ts');

  it('builds the read model anew and swaps it in', async () => {
    const folder = await stoppedInstance();
    const readModel = join(folder, 'data/read-model.db');
    const db = new DatabaseSync(readModel);
    db.exec(`UPDATE machine_users SET name = 'forged'`);
    db.close();
    const broken = await runKeyturn(['replay', '--check'], folder);
    expect([broken.status, broken.stderr]).toEqual([1, '1 rows differ\n']);
    expect(JSON.parse(broken.stdout)).toMatchObject({
      table: 'machine_users',
      kind: 'changed',
      columns: ['name'],
    });
    expect((await runKeyturn(['replay'], folder)).status).toBe(0);
    expect(readdirSync(join(folder, 'data')).filter((name) => name.includes('replay'))).toEqual([]);
    const mended = await runKeyturn(['replay', '--check'], folder);
    expect(mended).toMatchObject({ status: 0, stdout: '', stderr: expect.stringContaining('row by row') });
  });

  it('swaps nothing under a running instance, and keeps what it built', async () => {
    const folder = temporaryFolder();
    const keyturn = await serveKeyturn(folder);
    const refused = await runKeyturn(['replay'], folder);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/is in use by .* read-model\.db\.replay: stop the instance/s);
    expect((await runKeyturn(['replay', '--check'], folder)).status).toBe(0);
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
    expect((await runKeyturn(['replay'], folder)).status).toBe(0);
  });

  it('runs the projection of the docs', async () => {
    const folder = await stoppedInstance();
    const { status, stdout } = await runKeyturn(['replay', '--projection', example], folder);
    expect(status).toBe(0);
    expect(Object.values(JSON.parse(stdout))).toEqual([{ rotations: 1, editors: 1 }]);
    const missing = await runKeyturn(['replay', '--projection', 'none.ts'], folder);
    expect([missing.status, missing.stderr]).toEqual([
      1,
      expect.stringMatching(/^keyturn: .*none\.ts cannot be loaded/),
    ]);
  });
});

describe('keyturn checkpoint, prove and verify --proof', () => {
  it('prove an event of an instance to someone who has nothing but its verifier key', async () => {
    const folder = temporaryFolder();
    const keyturn = await serveKeyturn(folder);
    const published = async (path: string) => (await fetch(`${keyturn.url}/keyturn/v1/log/${path}`)).text();
    await expect.poll(() => published('checkpoint')).toMatch(/^keyturn\/\d{18}\n\d+\n/);
    const early = await published('checkpoint');
    const key = await published('verifier-key');
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
    expect((await runKeyturn(['checkpoint', '--verifier-key'], folder)).stdout).toBe(key);
    const last = await runKeyturn(['checkpoint'], folder);
    expect(last.stdout.split('\n')[0]).toBe(early.split('\n')[0]);

    expect((await runKeyturn(['prove', '2', '--out', 'event.tlog-proof'], folder)).status).toBe(0);
    const again = await runKeyturn(['prove', '2', '--out', 'event.tlog-proof'], folder);
    expect([again.status, again.stderr]).toEqual([
      1,
      expect.stringContaining('event.tlog-proof cannot be written'),
    ]);
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, 'key.txt'), key);
    writeFileSync(join(elsewhere, 'early.txt'), early);
    copyFileSync(join(folder, 'event.tlog-proof'), join(elsewhere, 'proof'));
    const proven = await runKeyturn(['verify', '--proof', 'proof', '--key', 'key.txt'], elsewhere);
    expect(proven).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^proven: .* is number 1 of \d+/),
    });
    const unkeyed = await runKeyturn(['verify', '--proof', 'proof'], elsewhere);
    expect([unkeyed.status, unkeyed.stderr]).toEqual([1, expect.stringContaining('give it with --key')]);

    const early2 = join(elsewhere, 'early.txt');
    const grown = await runKeyturn(['verify', '--checkpoint', early2, '--key', key.trim()], folder);
    expect(grown).toMatchObject({
      status: 0,
      stdout: expect.stringContaining(`intact: ${early2} covers the first`),
    });
    const db = new DatabaseSync(join(folder, 'data/events.db'));
    db.exec('DELETE FROM events WHERE position > 5');
    db.close();
    rmSync(join(folder, 'data/log-tree'), { recursive: true });
    const cutOff = await runKeyturn(['verify', '--checkpoint', early2, '--key', key.trim()], folder);
    expect(cutOff).toMatchObject({ status: 1, stdout: expect.stringContaining('the log was cut off') });
  });
});

describe('keyturn backup and restore', () => {
  const data = (folder: string, file: string) => join(folder, 'data', file);

  const eventsIn = async (file: string) => {
    const store = closedAfterTest(openSqliteEventStore({ file, readOnly: true }));
    return Array.fromAsync(store.readAll());
  };

  it('bring a log back, and keep the one that was there aside', async () => {
    const folder = await stoppedInstance();
    const log = await eventsIn(data(folder, 'events.db'));
    const backup = await runKeyturn(['backup', 'backup.db'], folder);
    expect(backup).toMatchObject({ status: 0, stderr: expect.stringContaining('backed up to backup.db') });
    const refused = await runKeyturn(['restore', 'backup.db'], folder);
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('is there already') });
    const restored = await runKeyturn(['restore', 'backup.db', '--replace'], folder);
    expect(restored).toMatchObject({ status: 0, stdout: expect.stringMatching(/^intact: \d+ events/) });
    const [aside = ''] = readdirSync(join(folder, 'data')).filter((name) => name.includes('replaced'));
    expect(await eventsIn(data(folder, join(aside, 'events.db')))).toEqual(log);
    expect(await eventsIn(data(folder, 'events.db'))).toEqual(log);
    expect(readdirSync(join(folder, 'data', aside))).toContain('log-tree');
  });

  it('do not touch a running instance, and the restored log serves and is signed anew', async () => {
    const folder = temporaryFolder();
    const keyturn = await serveKeyturn(folder);
    await runKeyturn(['backup', 'backup.db'], folder);
    const running = await runKeyturn(['restore', 'backup.db', '--replace'], folder);
    expect(running).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is in use by another Keyturn'),
    });
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
    await runKeyturn(['restore', 'backup.db', '--replace'], folder);
    const after = await serveKeyturn(folder);
    const { clientId, clientSecret } = JSON.parse(
      readFileSync(data(folder, 'admin-credentials.json'), 'utf8'),
    );
    expect((await requestToken(after.url, clientId, clientSecret)).status).toBe(200);
    await expect
      .poll(() => fetch(`${after.url}/keyturn/v1/log/checkpoint`).then((answer) => answer.status))
      .toBe(200);
  });

  it('change nothing when the backup is broken', async () => {
    const folder = await stoppedInstance();
    await runKeyturn(['backup', 'backup.db'], folder);
    const db = new DatabaseSync(join(folder, 'backup.db'));
    db.exec(`UPDATE events SET data = '{"forged":1}' WHERE stream = 'instance-keyturn' AND revision = 0`);
    db.close();
    const before = readFileSync(data(folder, 'events.db'));
    const names = readdirSync(join(folder, 'data'));
    const broken = await runKeyturn(['restore', 'backup.db', '--replace'], folder);
    expect(broken).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^BROKEN: event 0 of stream instance-keyturn/),
      stderr: 'keyturn: the backup is not intact: nothing was changed\n',
    });
    expect(readFileSync(data(folder, 'events.db')).equals(before)).toBe(true);
    expect(readdirSync(join(folder, 'data'))).toEqual(names);
    writeFileSync(join(folder, 'text'), 'no backup at all');
    expect((await runKeyturn(['restore', 'text', '--replace'], folder)).status).toBe(1);
    expect(readdirSync(join(folder, 'data'))).toEqual(names);
  });
});

test('keyturn report writes one page, which tells that the secret was used', async () => {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder);
  const { clientId, clientSecret } = JSON.parse(
    readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'),
  );
  await requestToken(keyturn.url, clientId, clientSecret);
  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  const reported = await runKeyturn(['report', '--out', 'page.html'], folder);
  expect(reported).toMatchObject({ status: 0, stderr: 'the report is in page.html\n' });
  expect(readFileSync(join(folder, 'page.html'), 'utf8')).toMatch(/<b class="">0<\/b>never used/);
});
