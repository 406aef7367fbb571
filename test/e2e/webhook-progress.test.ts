import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { serveKeyturn } from '../support/keyturn-process.ts';
import { managementClient, requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const environment = { KEYTURN_WEBHOOK_ALLOW_HTTP: 'true', KEYTURN_WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8' };

test('killed between delivery and checkpoint, it delivers again and leaves nothing out', async () => {
  const folder = temporaryFolder();
  const receiver = await webhookReceiver();
  let keyturn = await serveKeyturn(folder, environment);
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const signIn = async () =>
    (await requestToken(keyturn.url, 'admin', admin.clientSecret)).body.access_token as string;
  let token = await signIn();
  await fetch(`${keyturn.url}/keyturn/v1/webhooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: receiver.url, types: ['MachineSecretSet'] }),
  });
  let call = managementClient(keyturn.url, token);
  const { userId } = (await call('POST', '/users/machine', { userName: 'robot', name: 'Robot' })).body;

  const kills = 3;
  let last = 1;
  for (let kill = 0; kill < kills; kill++) {
    for (let count = 0; count < 5; count++) {
      last = Number((await call('PUT', `/users/${userId}/secret`, {})).body.details.sequence);
    }
    // Delivered, and not yet noted: that takes ten seconds.
    await eventually(() => expect(receiver.versions(userId)).toContain(last), 10_000);
    keyturn.process.kill('SIGKILL');
    await keyturn.ended;
    keyturn = await serveKeyturn(folder, environment);
    token = await signIn();
    call = managementClient(keyturn.url, token);
  }
  last = Number((await call('PUT', `/users/${userId}/secret`, {})).body.details.sequence);
  await eventually(() => expect(receiver.versions(userId)).toContain(last), 10_000);

  const versions = receiver.versions(userId);
  expect([...new Set(versions)]).toEqual(Array.from({ length: last - 1 }, (_, index) => index + 2));
  expect(versions.length).toBeGreaterThan(last - 1);
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(last - 1);
}, 60_000);
