import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { type Admin, managementClient, requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const profile = { userName: 'ada.lovelace', name: 'Ada Augusta', description: 'writes notes' };
const personal = /ada\.lovelace|Ada Augusta|writes notes/;

/** An instance with a machine user that was removed. */
async function instanceWithAda() {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder);
  const admin: Admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const { body } = await requestToken(keyturn.url, admin.clientId, admin.clientSecret);
  const call = managementClient(keyturn.url, body.access_token);
  const { userId } = (await call('POST', '/users/machine', profile)).body as { userId: string };
  await call('DELETE', `/users/${userId}`);
  const run = (...args: string[]) => runKeyturn(args, folder);
  const stop = async () => {
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
  };
  return { folder, keyturn, userId, run, stop, erase: () => run('erase', userId, '--url', keyturn.url) };
}

test('what is erased is shown by no command, and the log is intact', async () => {
  const { folder, userId, run, stop, erase } = await instanceWithAda();
  expect((await run('history', 'ada.lovelace')).stdout).toMatch(personal);
  const { status, stdout } = await erase();
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: expect.stringMatching(new RegExp(`^user ${userId} is erased since 20[^ ]+\n$`)),
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
