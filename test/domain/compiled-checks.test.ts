import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  eventCatalogue,
  type KeyturnEvent,
  readStoredData,
  readStoredMetadata,
} from '../../src/domain/event-catalogue.ts';
import { eventMetadataSchema } from '../../src/domain/event-metadata.ts';
import { edited, edits } from '../support/edited-values.ts';
import { sampleEvents } from '../support/sample-events.ts';

/** More often than a check is used before it is compiled. */
const manyTimes = 2000;

/** What `schema` gives for a value, or why it refuses it, when it is asked itself. */
function verdictOf(schema: z.ZodType, value: unknown) {
  const { success, data, error } = schema.safeParse(value);
  return success
    ? { data }
    : { faults: error.issues.map(({ path, code }) => `${path.join('.') || 'data'}: ${code}`).join(', ') };
}

/** The same of the check that is in use. */
function verdictInUse(check: () => unknown) {
  try {
    return { data: check() };
  } catch (error) {
    return { faults: /\((.*)\)$/s.exec((error as Error).message)?.[1] };
  }
}

const samples = sampleEvents();
const types = samples.map(({ type, data }) => [type as KeyturnEvent['type'], data] as const);

test.each(types)(
  'the check of %s that was used often takes and refuses what its schema does',
  (type, sample) => {
    const { version, data: schema } = eventCatalogue[type];
    const check = (value: unknown) => readStoredData(type, value as Record<string, unknown>, version).data;
    for (let used = 0; used < manyTimes; used++) check(sample);
    fc.assert(
      fc.property(edits, (todo) => {
        const value = edited(sample, todo);
        expect(verdictInUse(() => check(value))).toStrictEqual(verdictOf(schema, value));
      }),
      { numRuns: 200 },
    );
  },
);

test('the check of metadata that was used often takes and refuses what its schema does', () => {
  const origin = { address: '192.0.2.17', userAgent: 'terraform-provider-zitadel/2.2.0' };
  const sample = { ...samples[0]?.metadata, origin };
  const check = (metadata: unknown) => readStoredMetadata({ id: 'event', type: 'Type', metadata });
  for (let used = 0; used < manyTimes; used++) check(sample);
  fc.assert(
    fc.property(edits, (todo) => {
      const value = edited(sample, todo);
      const { data } = verdictOf(eventMetadataSchema, value);
      expect(verdictInUse(() => check(value)).data).toStrictEqual(data);
    }),
    { numRuns: 5000 },
  );
});

test('every check can be compiled', () => {
  for (const schema of [eventMetadataSchema, ...Object.values(eventCatalogue).map(({ data }) => data)]) {
    expect(() => z.compile<z.ZodType>(schema, { strict: true })).not.toThrow();
  }
});
