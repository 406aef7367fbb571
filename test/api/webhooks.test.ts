import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { organization } from '../../src/domain/aggregates.ts';
import { context } from '../support/application.ts';
import { adminToken, answerOf, requestToken, runningService } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { verifySignature, webhookReceiver } from '../support/webhook-receiver.ts';

async function served(options: Parameters<typeof runningService>[0] = {}) {
  const running = await runningService(options);
  const token = await adminToken(running);
  const call = async (method: string, path = '', body?: unknown, headers: Record<string, string> = {}) =>
    answerOf(
      await fetch(`${running.url}/keyturn/v1/webhooks${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
  return { running, call };
}

const url = 'https://hooks.example.com/keyturn';

test('a webhook is added, listed, changed and removed', async () => {
  const { running, call } = await served();
  const added = await call('POST', '', {
    url,
    types: ['MachineSecretSet', 'keyturn.v1.MachineSecretRemoved'],
    userId: 'u',
    description: 'vault',
  });
  const expected = {
    webhookId: expect.stringMatching(/^\d{18}$/),
    url,
    types: ['MachineSecretRemoved', 'MachineSecretSet'],
    userId: 'u',
    description: 'vault',
    state: 'WEBHOOK_STATE_ENABLED',
    sequence: '1',
    creationDate: expect.any(String),
    changeDate: expect.any(String),
    organizationId: running.admin.organizationId,
  };
  expect(added.body).toEqual({ webhook: expected, signingSecret: expect.stringMatching(/^whsec_/) });
  const { webhookId } = added.body.webhook;
  expect((await call('GET')).body).toEqual({ webhooks: [expected] });
  expect((await call('GET', `/${webhookId}`)).body).toEqual({ webhook: expected });

  const changed = await call('PUT', `/${webhookId}`, { url: `${url}/2`, enabled: false });
  const { userId: _, types: __, description: ___, ...rest } = expected;
  expect(changed.body.webhook).toEqual({
    ...rest,
    url: `${url}/2`,
    state: 'WEBHOOK_STATE_DISABLED',
    sequence: '3',
  });
  expect((await call('PUT', `/${webhookId}`, { url: `${url}/2` })).body.message).toMatch(
    /^Webhook not changed/,
  );

  expect((await call('DELETE', `/${webhookId}`)).status).toBe(200);
  expect((await call('GET')).body).toEqual({});
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/deliveries'],
    ['POST', '/test'],
    ['POST', '/redeliver'],
    ['POST', '/secret'],
  ] as const) {
    const body = method === 'POST' ? {} : undefined;
    expect([method, path, (await call(method, `/${webhookId}${path}`, body)).status]).toEqual([
      method,
      path,
      404,
    ]);
  }
});

test.each([
  [
    { url: 'http://hooks.example.com' },
    'URL of the webhook is invalid: it must be an https URL (KEYTURN-WebhookUrl)',
  ],
  [
    { url: 'https://10.0.0.1' },
    'URL of the webhook is invalid: its address is not a public one (KEYTURN-WebhookUrl)',
  ],
  [{ url: '' }, 'invalid AddWebhookRequest.Url: value length must be between 1 and 2048 runes, inclusive'],
  [{ url, types: ['Nothing'] }, 'Type of event is not known: "Nothing" (KEYTURN-WebhookType)'],
  [
    { url, types: ['SubscriptionAdvanced'] },
    'Type of event is not known: "SubscriptionAdvanced" (KEYTURN-WebhookType)',
  ],
  [{ url, after: 'x' }, expect.stringContaining('invalid request')],
  [
    { url, after: '9223372036854775807' },
    expect.stringMatching(/^invalid AddWebhookRequest.After: value must be at most \d+, the log's end/),
  ],
])('%j is refused with a reason', async (body, message) => {
  const { call } = await served();
  const answer = await call('POST', '', body);
  expect([answer.status, answer.body.message]).toEqual([400, message]);
  expect((await call('GET')).body).toEqual({});
});

test('an overlap of more than a week is refused', async () => {
  const { call } = await served();
  const { webhookId } = (await call('POST', '', { url })).body.webhook;
  const { status, body } = await call('POST', `/${webhookId}/secret`, { overlapSeconds: 604_801 });
  expect([status, body.message]).toEqual([
    400,
    'invalid RotateWebhookSecretRequest.OverlapSeconds: value must be at most 604800',
  ]);
});

test('an organization has its own webhooks, and a hundred at most', async () => {
  const { running, call } = await served();
  await running.service.commands.execute(
    organization,
    'org-2',
    { type: 'AddOrganization', name: 'Other' },
    context,
  );
  const { webhookId } = (await call('POST', '', { url })).body.webhook;
  const elsewhere = { 'x-zitadel-orgid': 'org-2' };
  expect((await call('GET', '', undefined, elsewhere)).body).toEqual({});
  expect((await call('GET', `/${webhookId}`, undefined, elsewhere)).status).toBe(404);
  expect((await call('DELETE', `/${webhookId}`, undefined, elsewhere)).status).toBe(404);
  for (let count = 1; count < 100; count++) expect((await call('POST', '', { url })).status).toBe(200);
  expect((await call('POST', '', { url })).body.message).toMatch(/as many webhooks as it may have/);
  expect((await call('POST', '', { url }, elsewhere)).status).toBe(200);
});

test('who may look may not change', async () => {
  const { running, call } = await served();
  const { organizationId } = running.admin;
  const { commands, machineUsers } = running.service;
  const user = {
    organizationId,
    userName: 'viewer',
    name: 'V',
    description: '',
    accessTokenType: 'jwt',
  } as const;
  const { userId } = await machineUsers.add(user, context);
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  await commands.execute(
    organization,
    organizationId,
    { type: 'AddMember', userId, roles: ['ORG_OWNER_VIEWER'] },
    context,
  );
  const { body } = await requestToken(running.url, 'viewer', clientSecret);
  const viewer = { authorization: `Bearer ${body.access_token}` };
  const { webhookId } = (await call('POST', '', { url })).body.webhook;
  expect((await call('GET', `/${webhookId}`, undefined, viewer)).status).toBe(200);
  expect((await call('POST', '', { url }, viewer)).status).toBe(403);
  expect((await call('DELETE', `/${webhookId}`, undefined, viewer)).status).toBe(403);
  expect((await call('POST', `/${webhookId}/secret`, {}, viewer)).status).toBe(403);
  expect((await call('GET', '', undefined, { authorization: '' })).status).toBe(401);
});

test('signing secrets outlive a change of the master key', async () => {
  const dataDir = temporaryFolder();
  const receiver = await webhookReceiver();
  const config = { dataDir, webhookAllowHttp: true, webhookAllowedNetworks: ['127.0.0.0/8'] };
  const [old, current, stolen] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
  const before = await served({ ...config, masterKey: old });
  const added = (await before.call('POST', '', { url: receiver.url, types: ['UserNameReleased'] })).body;
  const { webhookId } = added.webhook;
  const rotated = (await before.call('POST', `/${webhookId}/secret`, {})).body;
  await before.running.service.close();

  const changing = await served({ ...config, masterKey: current, previousMasterKey: old });
  expect((await changing.call('GET', `/${webhookId}`)).body.webhook.sequence).toBe('4');
  await changing.running.service.close();
  const changed = await served({ ...config, masterKey: current });
  expect((await changed.call('POST', `/${webhookId}/test`, {})).status).toBe(200);
  const [delivery] = receiver.received;
  if (delivery === undefined) throw new Error('nothing was received');
  for (const { signingSecret } of [added, rotated]) verifySignature(signingSecret, delivery);
  expect(changed.running.log()).not.toContain('cannot be read');
  await changed.running.service.close();
  // Once is enough.
  const again = await served({ ...config, masterKey: stolen, previousMasterKey: current });
  await again.running.service.close();
  const last = await served({ ...config, masterKey: stolen, previousMasterKey: current });
  expect((await last.call('GET', `/${webhookId}`)).body.webhook.sequence).toBe('6');
});

test('signing secrets are in no file and no log line', async () => {
  const { running, call } = await served();
  const added = (await call('POST', '', { url })).body;
  const rotated = (await call('POST', `/${added.webhook.webhookId}/secret`, {})).body;
  await running.service.close();
  for (const secret of [added.signingSecret, rotated.signingSecret]) {
    const bare = secret.slice('whsec_'.length);
    for (const text of [bare, Buffer.from(bare, 'base64').toString('latin1')]) {
      expect(running.log()).not.toContain(text);
      for (const file of globSync('*', { cwd: running.dataDir })) {
        expect(readFileSync(join(running.dataDir, file), 'latin1')).not.toContain(text);
      }
    }
  }
});
