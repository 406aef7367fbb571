import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';
import type { JsonObject } from '../../src/eventstore/event-store.ts';
import type { StoredEvent } from '../../src/eventstore/sqlite/stored-events.ts';
import { type CloudEventContext, cloudEventOf } from '../../src/subscriptions/cloud-event.ts';
import {
  isPublishedEventType,
  type PublishedEventType,
  publishedEventTypes,
} from '../../src/subscriptions/published-events.ts';
import { writtenCloudEvent, writtenData } from '../../src/subscriptions/written-cloud-event.ts';
import { edited, editedText, edits, nearValues, textEdit } from '../support/edited-values.ts';
import { sampleEvents } from '../support/sample-events.ts';

const context: CloudEventContext = { source: 'https://keyturn.example', organizationId: 'org-1' };

interface PublishedEvent extends StoredEvent {
  readonly type: PublishedEventType;
}

/** Each type as Keyturn stores it, with personal fields in the clear, as in version 1: with all fields, and with none of those that may be absent. */
const stored: readonly PublishedEvent[] = sampleEvents().flatMap((event, index) => {
  const { id, type, stream, data, metadata } = event;
  if (!isPublishedEventType(type)) return [];
  const place = { id, type, stream, position: 1000 + index, revision: index };
  const schema = eventCatalogue[type].data;
  const needed = Object.entries(data).filter(([name]) => {
    const { [name]: _, ...others } = data;
    return !schema.safeParse(others).success;
  });
  const own = { ...metadata, editor: null, previousHash: null };
  return [
    { ...place, data: JSON.stringify(data), metadata: JSON.stringify(metadata) },
    { ...place, data: JSON.stringify(Object.fromEntries(needed)), metadata: JSON.stringify(own) },
  ];
});

function written(event: PublishedEvent, around = context): string | undefined {
  const data = writtenData(event.type, event.data);
  return data && writtenCloudEvent(event, data, around);
}

/** The plain way. Undefined for an event that is refused. */
function parsed(event: PublishedEvent, around = context): string | undefined {
  const { id, type, stream, position, revision } = event;
  try {
    const data = JSON.parse(event.data) as JsonObject;
    const metadata = JSON.parse(event.metadata) as JsonObject;
    const place = { position: String(position), streamVersion: String(revision + 1) };
    return JSON.stringify(cloudEventOf({ id, type, stream, data, metadata, ...place }, around));
  } catch {
    return undefined;
  }
}

/** It must be the same to the byte, or be left to the plain way. Says which. */
function compare(event: PublishedEvent, around = context): 'taken' | 'left' {
  const json = written(event, around);
  if (json === undefined) return 'left';
  expect(json).toBe(parsed(event, around));
  return 'taken';
}

/** What holds a record, begins with a field that may be absent, or has bounds that a text does not show. */
const alwaysParsed: readonly PublishedEventType[] = [
  'MachineUserChanged',
  'SigningKeyAdded',
  'WebhookAdded',
  'WebhookChanged',
  'SecretPolicySet',
];

test('what Keyturn stores is told without being parsed, but for a few types', () => {
  const taken = new Set(stored.filter((event) => compare(event) === 'taken').map(({ type }) => type));
  const left = new Set(stored.filter((event) => compare(event) === 'left').map(({ type }) => type));
  expect(taken.intersection(left)).toEqual(new Set());
  expect(left).toEqual(new Set(alwaysParsed));
  expect(taken.size + left.size).toBe(publishedEventTypes.length);
});

test('of data it tells whom they are about as the data do', () => {
  for (const { type, data } of stored) {
    const about = writtenData(type, data)?.about;
    const { organizationId, userId } = JSON.parse(data) as JsonObject;
    if (about !== undefined)
      expect({ ...about }).toEqual(JSON.parse(JSON.stringify({ organizationId, userId })));
  }
});

test('data with sealed fields are left to those who open them', () => {
  for (const event of stored.filter(({ type }) => 'personal' in eventCatalogue[type])) {
    const data = JSON.parse(event.data) as JsonObject;
    for (const name of (eventCatalogue[event.type] as { personal: readonly string[] }).personal) {
      if (data[name] === undefined) continue;
      const sealed = JSON.stringify({ ...data, [name]: { sealed: 'sealed' } });
      expect(writtenData(event.type, sealed)).toBeUndefined();
    }
  }
});

describe('an event that is nearly one of Keyturn', () => {
  const event = fc.constantFrom(...stored);

  it('is told as if it were parsed, whatever value is at whichever place', () => {
    const places = 12;
    for (const one of stored) {
      for (const part of ['data', 'metadata'] as const) {
        for (let place = 0; place < places; place++) {
          for (const value of nearValues) {
            const other = edited(JSON.parse(one[part]), [{ place, change: { kind: 'replace', value } }]);
            compare({ ...one, [part]: JSON.stringify(other) ?? '' });
          }
        }
      }
    }
  });

  it('is told as if it were parsed, whatever was changed', () => {
    const seen = { taken: 0, left: 0 };
    fc.assert(
      fc.property(event, edits, edits, (one, ofData, ofMetadata) => {
        const data = JSON.stringify(edited(JSON.parse(one.data), ofData)) ?? '';
        const metadata = JSON.stringify(edited(JSON.parse(one.metadata), ofMetadata)) ?? '';
        const outcome = compare({ ...one, data, metadata });
        if (data !== one.data || metadata !== one.metadata) seen[outcome]++;
      }),
      { numRuns: 10_000 },
    );
    expect(seen.taken).toBeGreaterThan(100);
    expect(seen.left).toBeGreaterThan(1000);
  });

  it('is told as if it were parsed, whatever stands in its text', () => {
    fc.assert(
      fc.property(
        event,
        fc.constantFrom('data' as const, 'metadata' as const),
        textEdit,
        (one, part, edit) => {
          compare({ ...one, [part]: editedText(one[part], edit) });
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it('is told as if it were parsed, wherever it is and whosever', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('é', '\n', '"', '\\', '\ud800', '😀', ''),
    );
    const categories = [
      'machineUser',
      'machineSecretUse',
      'userName',
      'webhook',
      'organization',
      '__proto__',
    ];
    const stream = fc.oneof(
      text,
      fc.tuple(fc.constantFrom(...categories), text).map(([category, id]) => `${category}-${id}`),
    );
    const schemaVersion = fc.integer({ min: 0, max: 4 });
    const owner = fc.option(text, { nil: undefined });
    const places = fc.record({ stream, id: text, source: text, organizationId: owner });
    fc.assert(
      fc.property(event, places, schemaVersion, (one, { stream, id, ...around }, version) => {
        const metadata = JSON.stringify({ ...JSON.parse(one.metadata), schemaVersion: version });
        compare({ ...one, stream, id, metadata }, around);
      }),
      { numRuns: 5000 },
    );
  });
});
