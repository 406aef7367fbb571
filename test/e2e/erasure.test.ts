import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import type { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { eventually } from '../support/eventually.ts';
import { runKeyturn, type ServingKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { type Admin, keyturnClient, managementClient, requestToken } from '../support/running-service.ts';
import { sharedServer } from '../support/store-places.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const profile = { userName: 'ada.lovelace', name: 'Ada Augusta', description: 'writes notes' };
const masterKey = Buffer.alloc(32, 7).toString('base64');
const personal = /ada\.lovelace|Ada Augusta|writes notes/;

type Environment = Readonly<Record<string, string>>;

/** Where the log of the running test is: in the data directory, or in an EventStoreDB, which then comes with it. */
const stores: readonly {
  name: string;
  open: () => Promise<{ env: Environment; server?: EventStoreDbServer }>;
}[] = [
  { name: 'the embedded store', open: async () => ({ env: {} }) },
  {
    name: 'EventStoreDB',
    open: async () => {
      const { server, connectionString } = await sharedServer();
      return { env: { KEYTURN_EVENTSTORE: connectionString, KEYTURN_MASTER_KEY: masterKey }, server };
    },
  },
];

/** The admin's clients of an instance that serves. */
async function clientsOf(folder: string, { url }: ServingKeyturn) {
  const admin: Admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const { body } = await requestToken(url, admin.clientId, admin.clientSecret);
  return { call: managementClient(url, body.access_token), own: keyturnClient(url, body.access_token) };
}

/** An instance with a machine user that was removed. */
async function instanceWithAda(env: Environment = {}) {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder, env);
  const { call, own } = await clientsOf(folder, keyturn);
  const { userId } = (await call('POST', '/users/machine', profile)).body as { userId: string };
  await call('DELETE', `/users/${userId}`);
  const run = (...args: string[]) => runKeyturn(args, folder, env);
  const stop = async () => {
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
  };
  const erase = () => run('erase', userId, '--url', keyturn.url);
  return { folder, keyturn, call, own, userId, run, stop, erase };
}

describe.each(stores)('on $name', { timeout: 120_000 }, ({ name, open }) => {
  const isShared = name === 'EventStoreDB';

  test('what is erased is shown by no command, and the log is intact', async () => {
    const { env } = await open();
    const { folder, userId, run, stop, erase } = await instanceWithAda(env);
    expect((await run('history', 'ada.lovelace')).stdout).toMatch(personal);
    const { KEYTURN_MASTER_KEY: _, ...withoutKey } = env;
    const unread = await runKeyturn(['history', userId], folder, withoutKey);
    if (isShared) expect(unread.stderr).toContain('the master key is needed');
    const { status, stdout } = await erase();
    const remains = isShared ? ", but the user's key, .* until it is scavenged" : '';
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(new RegExp(`^user ${userId} is erased since 20[^ ]+${remains}\n$`)),
    });
    // Beside the running instance.
    expect((await run('history', 'ada.lovelace')).stderr).toContain('there is no machine user');
    await stop();

    const position = (await run('history', userId, '--format', 'ndjson', '--limit', '1')).stdout;
    const { position: added } = JSON.parse(position) as { position: string };
    const ended = await Promise.all([
      run('history', userId, '--format', 'csv'),
      run('as-of', added),
      run('diff', '0', added),
      run('report', '--out', 'report.html'),
      run('export', '--output', 'log.ndjson'),
    ]);
    const files = ['report.html', 'log.ndjson'].map((file) => readFileSync(join(folder, file), 'utf8'));
    const shown = [...ended.map(({ stdout, stderr }) => stdout + stderr), ...files];
    for (const one of shown) expect(one).not.toMatch(personal);
    for (const one of shown.slice(0, 3)) expect(one).toContain('(erased 20');
    expect(await run('replay', '--check')).toMatchObject({ status: 0 });
    expect(await run('verify')).toMatchObject({ status: 0, stdout: expect.stringContaining('intact') });
  });

  test('a checkpoint and a proof that were kept from before an erasure hold after it', async () => {
    const { env } = await open();
    const { folder, keyturn, userId, run, stop, erase } = await instanceWithAda({
      ...env,
      KEYTURN_CHECKPOINT_INTERVAL: '1',
    });
    const covers = async () => {
      const published = await fetch(`${keyturn.url}/keyturn/v1/log/checkpoint`);
      return { published: await published.text(), proof: await run('prove', `machineUser-${userId}@1`) };
    };
    const kept = await eventually(async () => {
      const { published, proof } = await covers();
      expect(published).toMatch(/^keyturn\/\d+\n\d+\n/);
      expect(proof.status).toBe(0);
      return { published, proof: proof.stdout };
    }, 60_000);
    writeFileSync(join(folder, 'kept.txt'), kept.published);
    writeFileSync(join(folder, 'kept.tlog-proof'), kept.proof);
    expect(await erase()).toMatchObject({ status: 0 });
    await stop();
    const key = (await run('checkpoint', '--verifier-key')).stdout.trim();
    const last = (await run('checkpoint')).stdout;
    // The log has grown by the erasure, and that is signed.
    expect(Number(last.split('\n')[1])).toBeGreaterThan(Number(kept.published.split('\n')[1]));
    expect(await run('verify', '--checkpoint', 'kept.txt', '--key', key)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('intact: kept.txt covers the first'),
    });
    expect(await run('verify', '--proof', 'kept.tlog-proof', '--key', key)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^proven: /),
    });
  });

  test('an erasure whose process is killed before it destroys the key is finished by the next start', async () => {
    const { env, server } = await open();
    const { folder, keyturn, userId, run, own } = await instanceWithAda(env);
    const file = join(folder, 'data/personal-keys.db');
    const killed = server
      ? killedAtKey(server, userId, keyturn)
      : killedBeforeFile(file, join(folder, 'data/events.db'), keyturn);
    const erasure = own('POST', `/users/${userId}/_erase`, {}).catch((error: unknown) => error);
    await killed;
    expect(await erasure).toBeInstanceOf(Error);
    const hasKey = () =>
      server
        ? server.log.readable(`personalKey-${userId}`)?.at(-1)?.type === 'PersonalKeyCreated'
        : keyInFile(file, userId);
    expect(hasKey()).toBe(true);
    const again = await serveKeyturn(folder, env);
    expect(hasKey()).toBe(false);
    const history = await run('history', userId, '--format', 'ndjson');
    expect(history.stdout).toContain('MachineUserErased');
    expect(history.stdout).toContain('(erased 20');
    expect(history.stdout).not.toMatch(personal);
    again.process.kill('SIGTERM');
    await again.ended;
  });
});

/** Resolves when the process is gone: killed by its first request that has to do with the destruction of the key. */
async function killedAtKey(server: EventStoreDbServer, userId: string, { process, ended }: ServingKeyturn) {
  server.failAppend = (stream) => {
    if (!stream.endsWith(`personalKey-${userId}`)) return undefined;
    process.kill('SIGKILL');
    return {};
  };
  expect((await ended).signal).toBe('SIGKILL');
  server.failAppend = () => undefined;
}

/** The same: the file of keys is locked, until the event is stored and the process killed. */
async function killedBeforeFile(file: string, log: string, { process, ended }: ServingKeyturn) {
  const lock = new DatabaseSync(file);
  lock.exec('BEGIN IMMEDIATE');
  const events = new DatabaseSync(log, { readOnly: true });
  const erased = events.prepare(`SELECT count(*) AS count FROM events WHERE type = 'MachineUserErased'`);
  await expect.poll(() => erased.get()?.['count'], { interval: 5, timeout: 20_000 }).toBe(1);
  events.close();
  process.kill('SIGKILL');
  expect((await ended).signal).toBe('SIGKILL');
  lock.exec('ROLLBACK');
  lock.close();
}

function keyInFile(file: string, userId: string): boolean {
  const db = new DatabaseSync(file, { readOnly: true });
  const row = db.prepare('SELECT wrapped FROM personal_keys WHERE user_id = ?').get(userId);
  db.close();
  return row?.['wrapped'] != null;
}

test('a move to EventStoreDB and back brings the keys along, and who was erased stays erased', async () => {
  const { folder, userId: ada, run, call, stop, erase } = await instanceWithAda();
  const grace = (await call('POST', '/users/machine', { ...profile, userName: 'grace.hopper' })).body.userId;
  const linus = (await call('POST', '/users/machine', { userName: 'linus', name: 'Linus' })).body.userId;
  await call('DELETE', `/users/${grace}`);
  await erase();
  await stop();
  await run('export', '--output', 'there.ndjson');

  const { connectionString } = await sharedServer();
  const key = readFileSync(join(folder, 'data/master.key'), 'utf8').trim();
  const env = { KEYTURN_EVENTSTORE: connectionString, KEYTURN_MASTER_KEY: key };
  const elsewhere = temporaryFolder();
  const onNode = (...args: string[]) => runKeyturn(args, elsewhere, env);
  const input = join(folder, 'there.ndjson');
  for (let time = 0; time < 2; time++) {
    expect(await onNode('import', '--input', input)).toMatchObject({ status: 0 });
  }
  mkdirSync(join(elsewhere, 'data'), { mode: 0o700 });
  copyFileSync(join(folder, 'data/admin-credentials.json'), join(elsewhere, 'data/admin-credentials.json'));
  const node = await serveKeyturn(elsewhere, env);
  const shown = async (command: typeof onNode, userId: string) =>
    (await command('history', userId, '--format', 'ndjson')).stdout;
  const there = await Promise.all([linus, grace, ada].map((userId) => shown(onNode, userId)));
  expect(there).toEqual([
    expect.stringContaining('"Linus"'),
    expect.stringContaining('Ada Augusta'),
    expect.stringContaining('(erased 20'),
  ]);
  expect(there[2]).not.toMatch(personal);
  const { own } = await clientsOf(elsewhere, node);
  expect(await own('POST', `/users/${grace}/_erase`, {})).toMatchObject({ status: 200 });
  node.process.kill('SIGTERM');
  await node.ended;
  expect(existsSync(join(elsewhere, 'data/personal-keys.db'))).toBe(false);

  await onNode('export', '--output', 'back.ndjson');
  expect(statSync(join(elsewhere, 'back.ndjson.personal-keys')).mode & 0o077).toBe(0);
  const home = (...args: string[]) =>
    runKeyturn(args, elsewhere, { KEYTURN_MASTER_KEY: key, KEYTURN_DATA_DIR: 'home' });
  expect(await home('import', '--input', 'back.ndjson')).toMatchObject({ status: 0 });
  const back = await Promise.all([linus, grace, ada].map((userId) => shown(home, userId)));
  expect(back[0]).toContain('"Linus"');
  for (const one of back.slice(1)) {
    expect(one).toContain('(erased 20');
    expect(one).not.toMatch(personal);
  }
  expect(await home('verify')).toMatchObject({ status: 0, stdout: expect.stringContaining('intact') });
}, 180_000);

test('a backup brings its keys along, and does not bring back who was erased since', async () => {
  const { folder, userId, run, stop, erase } = await instanceWithAda();
  await run('backup', 'backup.db');
  await erase();
  await stop();
  expect(await run('restore', 'backup.db', '--replace')).toMatchObject({ status: 0 });
  const restored = await run('history', userId, '--format', 'ndjson');
  expect(restored.stdout).toContain('(erased 20');
  expect(restored.stdout).not.toMatch(personal);

  const [elsewhere, data] = ['elsewhere', join(folder, 'elsewhere')];
  expect(await run('restore', 'backup.db', '--data-dir', elsewhere)).toMatchObject({ status: 0 });
  const key = readFileSync(join(folder, 'data/master.key'), 'utf8').trim();
  const history = ['history', userId, '--data-dir', elsewhere];
  expect((await run(...history)).stderr).toContain('the master key is needed');
  expect((await run(...history, '--master-key', key)).stdout).toMatch(personal);
  rmSync(join(data, 'personal-keys.db'));
  expect((await run(...history)).stderr).toContain('its key is not there: put the personal keys back');
});

test('an instance does not start without the keys that its log needs, and makes no new ones', async () => {
  const { folder, run, stop } = await instanceWithAda();
  await stop();
  rmSync(join(folder, 'data/personal-keys.db'));
  for (let start = 0; start < 2; start++) {
    expect(await run('serve', '--port', '0')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('personal-keys.db: the log needs them'),
    });
  }
});
