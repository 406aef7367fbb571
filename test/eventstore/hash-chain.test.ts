import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/eventstore/canonical-json.ts';
import { hashOfEvent } from '../../src/eventstore/hash-chain.ts';

const event = {
  stream: 'machineUser-1',
  revision: 1n,
  id: '6f1b8a4e-6f3c-4c8e-9d0e-0123456789ab',
  type: 'MachineSecretSet',
  data: { b: 1, a: 'é' },
  metadata: { previousHash: null },
};

test('the hash is SHA-256 over the canonical JSON of the event', () => {
  const canonical =
    '{"data":{"a":"é","b":1},"id":"6f1b8a4e-6f3c-4c8e-9d0e-0123456789ab","metadata":{"previousHash":null},' +
    '"revision":"1","stream":"machineUser-1","type":"MachineSecretSet"}';
  expect(hashOfEvent(event)).toBe(createHash('sha256').update(canonical).digest('base64url'));
});

test('the order of fields does not matter, every value does', () => {
  expect(hashOfEvent({ ...event, data: { a: 'é', b: 1 } })).toBe(hashOfEvent(event));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.record({ stream: fc.string() }),
        fc.record({ revision: fc.bigInt({ min: 2n }) }),
        fc.record({ type: fc.string() }),
        fc.record({ data: fc.dictionary(fc.string(), fc.integer()) }),
        fc.record({ metadata: fc.dictionary(fc.string(), fc.string()) }),
      ),
      (change) => hashOfEvent({ ...event, ...change }) !== hashOfEvent(event),
    ),
  );
});

test('canonical JSON is that of RFC 8785', () => {
  const json = fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 });
  fc.assert(
    fc.property(json, (value) => {
      // Through JSON, as a store does: it has no -0.
      const stored = JSON.parse(JSON.stringify(value));
      expect(canonicalJson(stored)).toBe(canonicalize(stored));
    }),
  );
  expect(canonicalJson({ 10: 1e21, 9: 0.000001, é: '\u20ac', e: [] })).toBe(
    '{"10":1e+21,"9":0.000001,"e":[],"é":"€"}',
  );
  expect(() => canonicalJson({ text: '\ud800' })).toThrow(/lone surrogate/);
});

test('canonical JSON has the members of objects of any size in the order of their UTF-16 code units', () => {
  // 😀 is two units, which stand before the one of ｡.
  const key = fc.string({ unit: fc.constantFrom(...'aAb$_é€😀｡'), minLength: 1, maxLength: 4 });
  const object = fc.uniqueArray(key, { size: 'max', maxLength: 40 }).map((keys) => {
    return Object.fromEntries(keys.map((name, index) => [name, index]));
  });
  fc.assert(
    fc.property(object, (value) => {
      expect(canonicalJson(value)).toBe(canonicalize(value));
    }),
  );
});
