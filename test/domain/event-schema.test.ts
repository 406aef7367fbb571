import { expect, test } from 'vitest';
import { z } from 'zod';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';
import {
  checkNewEvent,
  type EventSchemas,
  unchanged,
  unchangedSince,
  upcastEvent,
} from '../../src/domain/event-schema.ts';

const schemas = {
  LampLit: {
    version: 3,
    data: z.strictObject({ colour: z.string(), lumen: z.number() }),
    upcasts: {
      1: (data) => ({ color: data['color'] ?? 'white' }),
      2: ({ color, ...rest }) => ({ ...rest, colour: color, lumen: 800 }),
    },
  },
} as const satisfies EventSchemas;

test('an event of an old version is read as one of today', () => {
  expect(upcastEvent(schemas, 'LampLit', {}, 1)).toEqual({
    type: 'LampLit',
    data: { colour: 'white', lumen: 800 },
  });
  expect(upcastEvent(schemas, 'LampLit', { color: 'red' }, 2).data).toEqual({ colour: 'red', lumen: 800 });
  expect(upcastEvent(schemas, 'LampLit', { colour: 'red', lumen: 1 }, 3).data).toEqual({
    colour: 'red',
    lumen: 1,
  });
});

test('it is known since when data have been read as they are stored', () => {
  const lit = schemas.LampLit;
  const first = lit.upcasts[1];
  expect(unchangedSince({ version: 1, data: lit.data })).toBe(1);
  expect(unchangedSince(lit)).toBe(3);
  expect(unchangedSince({ ...lit, upcasts: { 1: first, 2: unchanged } })).toBe(2);
  expect(unchangedSince({ ...lit, upcasts: { 1: unchanged, 2: first } })).toBe(3);
  expect(unchangedSince({ ...lit, upcasts: { 1: unchanged, 2: unchanged } })).toBe(1);
});

test('an event of a newer version asks for an upgrade', () => {
  expect(() => upcastEvent(schemas, 'LampLit', {}, 4)).toThrow(/schema version 4.*up to 3.*upgrade/);
});

test('a new event gets the version of today', () => {
  expect(checkNewEvent(schemas, { type: 'LampLit', data: { colour: 'red', lumen: 1 } }).schemaVersion).toBe(
    3,
  );
});

test('an event that does not fit is refused by field name, without its values', () => {
  const write = () =>
    checkNewEvent(eventCatalogue, {
      type: 'MachineSecretSet',
      data: { secretId: 7, hashedSecret: '$2b$04$hash', replacedSecretIds: [] },
    });
  expect(write).toThrow('MachineSecretSet does not fit its schema (secretId: invalid_type)');
});

test('a field that the schema does not have is refused', () => {
  expect(() =>
    checkNewEvent(eventCatalogue, { type: 'UserNameClaimed', data: { userId: 'a', extra: 1 } }),
  ).toThrow(/unrecognized_keys/);
});

test.each(['Unheard', 'constructor', '__proto__'])('an event of the unknown type %s is refused', (type) => {
  expect(() => upcastEvent(eventCatalogue, type, {}, 1)).toThrow(`${type} is not an event type`);
});

test('every event type can read each version that it ever had', () => {
  for (const [type, schema] of Object.entries<EventSchemas[string]>(eventCatalogue)) {
    const past = Array.from({ length: schema.version - 1 }, (_, index) => String(index + 1));
    expect([type, Object.keys(schema.upcasts ?? {})]).toEqual([type, past]);
  }
});
