import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  longestTokenLifetime,
  publishedKeysAt,
  signingKeyAt,
  signsUntil,
} from '../../src/domain/instance/signing-keys.ts';

const at = (time: string) => new Date(`2026-03-0${time}:00.000Z`);
const key = (keyId: string, signsFrom: Date) => ({ keyId, signsFrom: signsFrom.toISOString() });
const first = key('first', at('1T00:00'));
const second = key('second', at('5T00:00'));
const ids = (keys: readonly { keyId: string }[]) => keys.map(({ keyId }) => keyId);

describe('signing keys', () => {
  it('sign from their time on, until the next one does', () => {
    expect(signingKeyAt([second, first], at('4T23:59'))).toBe(first);
    expect(signingKeyAt([second, first], at('5T00:00'))).toBe(second);
    expect(signingKeyAt([second], at('4T23:59'))).toBeUndefined();
    expect(signingKeyAt([], at('4T23:59'))).toBeUndefined();
  });

  it('are published before they sign, and for as long as one of their tokens may live', () => {
    expect(ids(publishedKeysAt([first, second], at('4T23:50')))).toEqual(['second', 'first']);
    expect(ids(publishedKeysAt([first, second], at('5T23:59')))).toEqual(['second', 'first']);
    expect(ids(publishedKeysAt([first, second], at('6T00:00')))).toEqual(['second']);
  });

  it('sign until the time that is foretold, and not a moment longer', () => {
    const hour = fc.integer({ min: 0, max: 20 });
    const moment = (hours: number) => new Date(at('1T00:00').getTime() + hours * 3_600_000);
    fc.assert(
      fc.property(fc.uniqueArray(hour), hour, (begins, now) => {
        const keys = begins.map((begin) => key(String(begin), moment(begin)));
        const signer = signingKeyAt(keys, moment(now));
        const until = signsUntil(keys, moment(now));
        expect(until).toBeGreaterThan(moment(now).getTime());
        if (until === Number.POSITIVE_INFINITY) {
          expect(signingKeyAt(keys, moment(1000))).toBe(signer);
          return;
        }
        expect(signingKeyAt(keys, new Date(until - 1))).toBe(signer);
        expect(signingKeyAt(keys, new Date(until))).not.toBe(signer);
      }),
    );
  });

  it('verify every token that is alive, whenever keys were added and however often', () => {
    const seconds = fc.integer({ min: 0, max: 10 * longestTokenLifetime });
    const moment = (offset: number) => new Date(at('1T00:00').getTime() + offset * 1000);
    fc.assert(
      fc.property(
        fc.uniqueArray(seconds, { minLength: 1 }),
        seconds,
        fc.integer({ min: 1, max: longestTokenLifetime - 1 }),
        (begins, issued, age) => {
          const keys = begins.map((begin) => key(String(begin), moment(begin)));
          const signer = signingKeyAt(keys, moment(issued));
          if (signer === undefined) return;
          expect(publishedKeysAt(keys, moment(issued + age))).toContain(signer);
        },
      ),
    );
  });
});
