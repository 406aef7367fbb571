import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serveKeyturn } from '../support/keyturn-process.ts';
import { addRobot, answerOf, managementClient, requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('no plain secret, token or master key is in any file or in anything that was printed', async () => {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder, { KEYTURN_LOG_LEVEL: 'trace', KEYTURN_BCRYPT_COST: '4' });
  const { url } = keyturn;
  const dataDir = join(folder, 'data');
  const admin = JSON.parse(readFileSync(join(dataDir, 'admin-credentials.json'), 'utf8'));
  const secrets: string[] = [];

  const { body: granted } = await requestToken(url, admin.clientId, admin.clientSecret);
  const token = String(granted.access_token);
  const call = managementClient(url, token);
  const robot = await addRobot(call);
  const { body: again } = await call('PUT', `/users/${robot.userId}/secret`, {});
  secrets.push(token, robot.clientSecret, again.clientSecret);

  // Everything that a careless client can do with a secret.
  const { body: robotToken } = await requestToken(url, 'robot', again.clientSecret);
  secrets.push(robotToken.access_token);
  const secret = String(again.clientSecret);
  const typo = `${secret.slice(0, -1)}_`;
  secrets.push(typo);
  await requestToken(url, 'robot', robot.clientSecret);
  await requestToken(url, 'robot', typo);
  await requestToken(url, secret, 'x');
  await requestToken(url, 'robot', secret, secret);
  const careless: [string, RequestInit?][] = [
    [`/oauth/v2/token?client_id=robot&client_secret=${secret}`, { method: 'POST' }],
    ['/oauth/v2/token', { method: 'POST', body: `{"client_secret":"${secret}"}` }],
    [`/management/v1/users/machine?access_token=${token}`],
    ['/management/v1/users/1', { headers: { authorization: secret } }],
    ['/management/v1/users/1', { headers: { authorization: `Bearer ${token}x`, 'x-zitadel-orgid': secret } }],
    [`/nothing?secret=${secret}`],
    [`/management/v1/users/${secret}/%ff?secret=${secret}`],
  ];
  for (const [path, init] of careless) {
    const { body } = await answerOf(await fetch(url + path, init));
    for (const one of secrets) expect(JSON.stringify(body)).not.toContain(one);
  }
  for (const broken of [
    `{"userName":"x","name":"${secret}`,
    `{"name":["${secret}"]}`,
    `"${secret}"`,
    secret,
  ]) {
    const { status, body } = await call('POST', '/users/machine', broken);
    expect([status, body.message]).toEqual([400, expect.not.stringContaining(secret)]);
  }

  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  const printed = keyturn.output();
  const files = readdirSync(dataDir).filter((name) => statSync(join(dataDir, name)).isFile());
  expect(files).toEqual(expect.arrayContaining(['events.db', 'read-model.db', 'master.key']));
  const masterKey = readFileSync(join(dataDir, 'master.key'), 'utf8').trim();

  for (const one of [...secrets, admin.clientSecret, masterKey]) {
    expect(printed).not.toContain(one);
    for (const name of files) {
      const isItsPlace =
        (name === 'admin-credentials.json' && one === admin.clientSecret) ||
        (name === 'master.key' && one === masterKey);
      const holds = readFileSync(join(dataDir, name)).includes(one);
      expect([name, holds]).toEqual([name, isItsPlace]);
    }
  }
});
