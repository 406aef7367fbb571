import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { canonicalOrder, needsNoEscape, writtenObject } from '../../src/domain/written-json.ts';
import { canonicalJson } from '../../src/eventstore/canonical-json.ts';

const dateTime = z.iso.datetime({ precision: 3 });
const lamp = z.strictObject({
  'a "name"': z.string().min(1),
  colour: z.enum(['red', 'gr.en']),
  watts: z.int().min(1),
  isLit: z.boolean(),
  notes: z.array(z.strictObject({ at: dateTime, text: z.string() })).exactOptional(),
  rooms: z.array(z.string().min(1)).min(1).exactOptional(),
  kind: z.literal('lamp').exactOptional(),
});

/** Often with nothing in it that has to be escaped. */
const text = fc.oneof(
  { arbitrary: fc.constantFrom('desk', 'é'), weight: 8 },
  { arbitrary: fc.string({ unit: 'binary' }), weight: 1 },
  { arbitrary: fc.constantFrom('', '"', '\\', '\ud800'), weight: 1 },
);
const times = ['2026-02-28T00:00:00.000Z', '2024-02-29T00:00:00.000Z', '2026-02-30T00:00:00.000Z'];
const notes = fc.array(fc.record({ at: fc.constantFrom(...times), text }), { maxLength: 2 });
const value = fc.record(
  {
    'a "name"': text,
    colour: fc.constantFrom('red', 'gr.en', 'green'),
    watts: fc.constantFrom(1, 2, 60, 999, 0, -1, 0.5, 2 ** 53, 1e21),
    isLit: fc.constantFrom(true, false, null),
    notes,
    rooms: fc.array(text, { maxLength: 2 }),
    kind: fc.constantFrom('lamp', 'lantern'),
  },
  { requiredKeys: ['a "name"', 'colour', 'watts', 'isLit'] },
);

test('a text that is taken is that of an object that fits, and gives its members', () => {
  const { pattern, members } = writtenObject(lamp) ?? expect.unreachable();
  let taken = 0;
  fc.assert(
    fc.property(value, (drawn) => {
      const found = pattern.exec(JSON.stringify(drawn));
      if (found === null) return;
      taken++;
      const told = members.flatMap((name, index) => {
        const json = found[index + 1];
        return json === undefined ? [] : [[name, JSON.parse(json)]];
      });
      expect(Object.fromEntries(told)).toEqual(lamp.parse(drawn));
    }),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(50);
});

test('a text that is put into canonical order is canonical JSON of the same, and holds no objects', () => {
  const inOrder = canonicalOrder(lamp) ?? expect.unreachable();
  let taken = 0;
  fc.assert(
    fc.property(value, (drawn) => {
      const json = JSON.stringify(drawn);
      const canonical = inOrder(json);
      const isTaken = writtenObject(lamp)?.pattern.test(json) && drawn.notes === undefined;
      expect(canonical).toBe(isTaken ? canonicalJson(JSON.parse(json)) : undefined);
      if (isTaken) taken++;
    }),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(50);
});

test.each([
  ['an object that takes other members', z.object({ a: z.string() })],
  ['an object that gives other members', z.looseObject({ a: z.string() })],
  ['an object with a rule of its own', z.strictObject({ a: z.string() }).refine(() => false)],
  ['a first member that may be absent', z.strictObject({ a: z.string().exactOptional() })],
  ['a text with a rule of its own', z.strictObject({ a: z.string().refine(() => false) })],
  ['a text with two rules', z.strictObject({ a: z.string().min(1).max(2) })],
  ['a text of two characters at least', z.strictObject({ a: z.string().min(2) })],
  ['a text of another form', z.strictObject({ a: z.uuid() })],
  ['a date with a rule of its own', z.strictObject({ a: dateTime.refine(() => false) })],
  ['a text that is changed', z.strictObject({ a: z.string().trim() })],
  ['a number that is no integer', z.strictObject({ a: z.number().min(1) })],
  ['an integer from zero on', z.strictObject({ a: z.int().min(0) })],
  ['an integer with an upper bound', z.strictObject({ a: z.int().min(1).max(20) })],
  ['one of two values with a rule', z.strictObject({ a: z.enum(['b', 'c']).refine(() => false) })],
  [
    'a member that may be absent, with a rule',
    z.strictObject({
      a: z.string(),
      b: z
        .string()
        .optional()
        .refine(() => false),
    }),
  ],
  ['a list with a bound', z.strictObject({ a: z.array(z.string()).max(2) })],
  ['a list of what is not known', z.strictObject({ a: z.array(z.date()) })],
  ['a value that may be null', z.strictObject({ a: z.string().nullable() })],
  ['a default', z.strictObject({ a: z.string().default('b') })],
  ['a record', z.record(z.string(), z.string())],
])('%s has no pattern', (_, schema) => {
  expect(writtenObject(schema)).toBeUndefined();
  expect(canonicalOrder(schema)).toBeUndefined();
});

test('a text needs no escape where JSON writes it as it is', () => {
  fc.assert(
    fc.property(text, (drawn) => {
      if (needsNoEscape(drawn)) expect(JSON.stringify(drawn)).toBe(`"${drawn}"`);
    }),
    { numRuns: 2000 },
  );
  expect(needsNoEscape('é \u2028')).toBe(true);
  expect(['"', '\\', '\n', '\ud800', '\udc00'].filter(needsNoEscape)).toEqual([]);
});
