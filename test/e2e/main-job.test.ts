import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { runKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { managementScope } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const run = promisify(execFile);

/** Asks with curl, as a newcomer does. */
async function curl(...args: string[]) {
  const { stdout } = await run('curl', ['-s', '-w', '\n%{http_code}', ...args]);
  const [, body = '', status] = /^(.*)\n(\d+)$/s.exec(stdout) ?? [];
  return { status: Number(status), body: JSON.parse(body) };
}

test('from an empty folder to a machine user that signs in with its new secret, over a restart', async () => {
  const folder = temporaryFolder();
  const grant = ['-d', 'grant_type=client_credentials', '--data-urlencode', `scope=${managementScope}`];
  let keyturn = await serveKeyturn(folder);
  const basic = (id: string, secret: string) =>
    curl('-u', `${id}:${secret}`, ...grant, `${keyturn.url}/oauth/v2/token`);
  const form = (id: string, secret: string) =>
    curl('-d', `client_id=${id}`, '-d', `client_secret=${secret}`, ...grant, `${keyturn.url}/oauth/v2/token`);

  const credentials = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  expect(Object.keys(credentials)).toEqual([
    'issuer',
    'tokenEndpoint',
    'organizationId',
    'userId',
    'clientId',
    'clientSecret',
  ]);
  await expect.poll(() => keyturn.output()).toContain('A new instance.');

  const admin = await basic(credentials.clientId, credentials.clientSecret);
  expect(admin.status).toBe(200);
  const asAdmin = [
    '-H',
    `Authorization: Bearer ${admin.body.access_token}`,
    '-H',
    'Content-Type: application/json',
  ];
  const management = `${keyturn.url}/management/v1`;

  const added = await curl(
    ...asAdmin,
    '-d',
    '{"userName":"robot","name":"Robot"}',
    `${management}/users/machine`,
  );
  expect(added.status).toBe(200);
  const secretUrl = `${management}/users/${added.body.userId}/secret`;
  const setSecret = () => curl('-X', 'PUT', ...asAdmin, '-d', '{}', secretUrl);

  const first = await setSecret();
  expect([first.status, first.body.clientId, first.body.details.sequence]).toEqual([200, 'robot', '2']);
  expect((await basic('robot', first.body.clientSecret)).status).toBe(200);
  expect((await form('robot', first.body.clientSecret)).status).toBe(200);

  const second = await setSecret();
  expect([second.status, second.body.details.sequence]).toEqual([200, '3']);
  const expectTheSecondOnly = async () => {
    expect((await form('robot', first.body.clientSecret)).status).toBe(401);
    expect((await basic('robot', first.body.clientSecret)).status).toBe(401);
    expect((await form('robot', second.body.clientSecret)).status).toBe(200);
    expect((await basic('robot', second.body.clientSecret)).status).toBe(200);
  };
  await expectTheSecondOnly();

  keyturn.process.kill('SIGTERM');
  expect((await keyturn.ended).status).toBe(0);
  keyturn = await serveKeyturn(folder);
  expect(keyturn.output()).not.toContain('A new instance.');
  await expectTheSecondOnly();
});

test('keyturn demo walks through the same, shows the events, and leaves nothing behind', async () => {
  const folder = temporaryFolder();
  const { status, stdout, stderr } = await runKeyturn(['demo'], folder, { TMPDIR: folder });
  expect([status, stderr]).toEqual([0, '']);
  for (const expected of [
    'POST /oauth/v2/token',
    'POST /management/v1/users/machine',
    'MachineUserAdded',
    'MachineSecretSet',
    '"sequence":"3"',
    '→ 401 {"error":"invalid_client"',
    'Done: every answer was the expected one.',
  ]) {
    expect(stdout).toContain(expected);
  }
  expect((await run('ls', ['-A', folder])).stdout).toBe('');
});
