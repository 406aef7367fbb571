import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  base62,
  composeSecret,
  secretIdLength,
  secretIdOf,
  secretRandomLength,
} from '../../src/domain/machine-secret.ts';

const base62Text = (length: number) =>
  fc.string({ unit: fc.constantFrom(...base62), minLength: length, maxLength: length });
const anySecret = fc.tuple(base62Text(secretIdLength), base62Text(secretRandomLength));

test('a secret gives its id back, and has 64 characters', () => {
  fc.assert(
    fc.property(anySecret, ([secretId, random]) => {
      const secret = composeSecret(secretId, random);
      expect(secret).toMatch(/^kts_[0-9A-Za-z]{60}$/);
      expect(secretIdOf(secret)).toBe(secretId);
    }),
  );
});

test('no secret with one character changed gets past the checksum', () => {
  fc.assert(
    fc.property(
      anySecret,
      fc.nat({ max: 63 }),
      fc.constantFrom(...base62),
      ([secretId, random], place, character) => {
        const secret = composeSecret(secretId, random);
        fc.pre(secret[place] !== character);
        expect(secretIdOf(secret.slice(0, place) + character + secret.slice(place + 1))).toBeUndefined();
      },
    ),
  );
});

test('two neighbouring characters that changed places do not get past the checksum', () => {
  fc.assert(
    fc.property(anySecret, fc.nat({ max: 62 }), ([secretId, random], place) => {
      const secret = composeSecret(secretId, random);
      const swapped = secret.slice(0, place) + secret[place + 1] + secret[place] + secret.slice(place + 2);
      fc.pre(swapped !== secret);
      expect(secretIdOf(swapped)).toBeUndefined();
    }),
  );
});

test('text of any other form is no secret', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => secretIdOf(text) === undefined));
});

test('the checksum is the CRC-32 of what stands before it, in base62 digits', () => {
  const secret = composeSecret('0123456789ABCDEF', 'abcdefghijklmnopqrstuvwxyz0123456789AB');
  const value = [...secret.slice(-6)].reduce((sum, digit) => sum * 62 + base62.indexOf(digit), 0);
  expect(value).toBe(crc32(secret.slice(0, -6)));
});

test.each([
  ['', 'a'.repeat(secretRandomLength)],
  ['a'.repeat(secretIdLength), 'a'.repeat(secretRandomLength - 1)],
  ['a'.repeat(secretIdLength), '-'.repeat(secretRandomLength)],
])('parts of a wrong length or alphabet make no secret', (secretId, random) => {
  expect(() => composeSecret(secretId, random)).toThrow(RangeError);
});
