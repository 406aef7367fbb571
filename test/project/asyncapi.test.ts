import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, test } from 'vitest';
import { context } from '../support/application.ts';
import { appendSecretsSet, openEventSource } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { adminToken, runningService } from '../support/running-service.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const docs = join(import.meta.dirname, '../../docs');
const read = (file: string) => JSON.parse(readFileSync(join(docs, file), 'utf8'));
const document = read('asyncapi.json');

test('docs/asyncapi.json is an AsyncAPI 3.0 document', () => {
  const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json');
  // Ajv has it, and takes no other one of that name.
  delete schema.definitions['http://json-schema.org/draft-07/schema'];
  const validate = addFormats.default(new Ajv({ strict: false, logger: false })).compile(schema);
  validate(document);
  expect(validate.errors).toBeNull();
  expect(validate({ ...document, channels: { wrong: { address: 1 } } })).toBe(false);
});

test('what is sent is what docs/asyncapi.json says', async () => {
  const running = await runningService({ webhookAllowHttp: true, webhookAllowedNetworks: ['127.0.0.0/8'] });
  const token = await adminToken(running);
  const receiver = await webhookReceiver();
  const call = (path: string, body: object) =>
    fetch(`${running.url}/keyturn/v1/webhooks${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const { channels, components, operations } = document;
  const stream = openEventSource(`${running.url}${channels.eventStream.address}?after=0`, () => token);
  const added = await call('', { url: receiver.url, after: '0' });
  const { webhook } = (await added.json()) as { webhook: { webhookId: string } };
  const user = {
    userId: 'one',
    userName: 'one',
    name: 'R',
    description: '',
    accessTokenType: 'jwt',
  } as const;
  await running.service.machineUsers.add({ ...user, organizationId: running.admin.organizationId }, context);
  await appendSecretsSet(running.service.eventStore, 'one', 3);
  await call(`/${webhook.webhookId}/test`, {});
  const isLast = ({ data }: { data: object }) => 'webhookId' in data;
  await eventually(
    () => expect(receiver.received.filter(({ event }) => isLast(event))).toHaveLength(2),
    10_000,
  );
  await eventually(() => expect(receiver.versions('one')).toEqual([1, 2, 3, 4]), 10_000);
  await eventually(() => expect(stream.events.filter(isLast)).toHaveLength(1));

  const { streamedEvent, deliveredEvent } = components.messages;
  const payload = addFormats.default(new Ajv2020()).compile(read(streamedEvent.payload.schema.$ref));
  expect(deliveredEvent.payload).toEqual(streamedEvent.payload);
  for (const event of [...stream.events, ...receiver.received.map((delivery) => delivery.event)]) {
    payload(event);
    expect([event.type, payload.errors]).toEqual([event.type, null]);
  }
  const headers = new Ajv2020().compile(deliveredEvent.headers);
  for (const delivery of receiver.received) {
    headers(delivery.headers);
    expect(headers.errors).toBeNull();
  }
  expect(Object.keys(operations)).toEqual(['stream', 'deliver']);
  for (const parameter of Object.keys(operations.stream.bindings.http.query.properties)) {
    const answer = await fetch(`${running.url}${channels.eventStream.address}?${parameter}=`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect((await answer.json()) as object).not.toMatchObject({
      message: expect.stringContaining('is not known'),
    });
  }
});
