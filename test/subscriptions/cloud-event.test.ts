import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';
import { cloudEventJsonSchema, eventNameOf, toCloudEvent } from '../../src/subscriptions/cloud-event.ts';
import {
  isPublishedEventType,
  type PublishedEventType,
  publishedEvents,
  publishedEventTypes,
} from '../../src/subscriptions/published-events.ts';
import { sampleEvents } from '../support/sample-events.ts';

const context = { source: 'https://keyturn.example', organizationId: 'org-1' };
const schemaFile = join(import.meta.dirname, '../../docs/schemas/cloud-event.schema.json');

const validate = addFormats.default(new Ajv2020({ strict: true })).compile(cloudEventJsonSchema());

/** Whether the name of a field says that it must stay inside. Ids of secrets and keys are no secrets. */
const isConfidential = (field: string) =>
  /hash|encrypted|private|public|token|password|url|secret|key/i.test(field) &&
  !/^((replaced)?secretIds?|keyId|accessTokenType|endTokens|maxLiveSecrets)$/i.test(field);

test('every event of the catalogue is published, or said not to be', () => {
  expect(Object.keys(publishedEvents).toSorted()).toEqual(Object.keys(eventCatalogue).toSorted());
});

const samples = sampleEvents();
const published = samples.filter(({ type }) => isPublishedEventType(type));

describe.each(published.map((event) => [event.type, event] as const))('%s', (type, recorded) => {
  const cloudEvent = toCloudEvent(recorded, context);

  it('has a CloudEvent with a type name of its own that fits the published schema', () => {
    expect(cloudEvent).toMatchObject({
      specversion: '1.0',
      id: recorded.id,
      source: 'https://keyturn.example',
      type: `keyturn.v1.${type}`,
      subject: recorded.stream,
      time: '2026-01-02T03:04:05.678Z',
      position: String(recorded.position),
      streamversion: String(recorded.revision + 1n),
      organizationid: 'org-1',
      authtype: 'service_account',
      authid: 'editor-id',
      correlationid: 'correlation',
      causationid: 'causation',
    });
    validate(JSON.parse(JSON.stringify(cloudEvent)));
    expect(validate.errors).toBeNull();
  });

  it('shows the fields that it names, all of them, and no others', () => {
    const { shape } = publishedEvents[type as PublishedEventType];
    expect(Object.keys(cloudEvent?.data ?? {}).toSorted()).toEqual(Object.keys(shape).toSorted());
  });

  it('shows nothing confidential', () => {
    const text = JSON.stringify(cloudEvent);
    for (const [, field = ''] of text.matchAll(/"(\w+)":/g)) {
      expect([field, isConfidential(field)]).toEqual([field, false]);
    }
    const { properties = {} } = z.toJSONSchema(eventCatalogue[type as PublishedEventType].data);
    for (const field of Object.keys(properties).filter(isConfidential)) {
      expect(text).not.toContain(`${field}-value`);
    }
    expect(text).not.toContain('previousHash');
  });
});

test('bookkeeping has no CloudEvent', () => {
  const bookkeeping = samples.filter((event) => !published.includes(event));
  expect(bookkeeping.map((event) => event.type)).toContain('SubscriptionAdvanced');
  for (const recorded of bookkeeping) expect(toCloudEvent(recorded, context)).toBeUndefined();
});

test('an event that Keyturn itself caused, outside of any organization, says so', () => {
  const [recorded] = sampleEvents();
  if (recorded === undefined) throw new Error('an event expected');
  const own = { ...recorded, metadata: { ...recorded.metadata, editor: null } };
  const cloudEvent = toCloudEvent(own, { ...context, organizationId: undefined });
  expect(cloudEvent).toMatchObject({ authtype: 'system' });
  expect(cloudEvent).not.toHaveProperty('authid');
  expect(cloudEvent).not.toHaveProperty('organizationid');
});

test('names of attributes are as CloudEvents asks', () => {
  for (const recorded of sampleEvents()) {
    const names = Object.keys(toCloudEvent(recorded, context) ?? {});
    for (const name of names) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
  }
});

test('a type is found with and without its prefix', () => {
  expect(eventNameOf('keyturn.v1.MachineSecretSet')).toBe('MachineSecretSet');
  expect(eventNameOf('MachineSecretSet')).toBe('MachineSecretSet');
});

/** `npx vitest run test/subscriptions/cloud-event.test.ts -u` writes the file anew. */
test('the published JSON Schema is that of the code', async () => {
  await expect(`${JSON.stringify(cloudEventJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(schemaFile);
});

test('the schema refuses a type that does not exist and data that does not fit', () => {
  const [recorded] = sampleEvents().filter((event) => event.type === 'MachineSecretSet');
  if (recorded === undefined) throw new Error('an event expected');
  const cloudEvent = toCloudEvent(recorded, context);
  expect(validate(cloudEvent)).toBe(true);
  expect(validate({ ...cloudEvent, type: 'keyturn.v1.Other' })).toBe(false);
  expect(validate({ ...cloudEvent, data: {} })).toBe(false);
  expect(validate({ ...cloudEvent, extension: 'of later', data: { ...cloudEvent?.data, later: 1 } })).toBe(
    true,
  );
  expect(publishedEventTypes).toContain('MachineSecretSet');
});
