import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { WrongWrappingKeyError } from '../../src/eventstore/errors.ts';
import type { PersonalKeys } from '../../src/eventstore/personal-keys.ts';

const erasedAt = '2026-01-02T03:04:05.678Z';
const later = '2026-02-03T04:05:06.789Z';

/** What every adapter of the PersonalKeys port promises. `openKeys` opens an empty store for the running test. */
export function describePersonalKeysContract(name: string, openKeys: () => Promise<PersonalKeys>): void {
  describe(`the personal keys contract: ${name}`, () => {
    it('has no key of a user before one is made', async () => {
      expect(await (await openKeys()).keyOf('338')).toBeUndefined();
    });

    it('gives each user a key of 32 bytes of its own, and always the same', async () => {
      const keys = await openKeys();
      const [first, second] = [await keys.create('338'), await keys.create('339')];
      expect(first).toEqual({ key: expect.objectContaining({ length: 32 }) });
      expect(second).not.toEqual(first);
      expect(await keys.keyOf('338')).toEqual(first);
      expect(await keys.create('338')).toEqual(first);
    });

    it('makes one key when several ask at once', async () => {
      const keys = await openKeys();
      const made = await Promise.all(Array.from({ length: 20 }, (_, index) => keys.create(`${index % 2}`)));
      expect(new Set(made.map((key) => JSON.stringify(key))).size).toBe(2);
      expect(await keys.keyOf('0')).toEqual(made[0]);
    });

    it('destroys a key for good, and others not', async () => {
      const keys = await openKeys();
      const [, other] = [await keys.create('338'), await keys.create('339')];
      await keys.destroy('338', erasedAt);
      expect(await keys.keyOf('338')).toEqual({ erasedAt });
      expect(await keys.create('338')).toEqual({ erasedAt });
      expect(await keys.keyOf('339')).toEqual(other);
    });

    it('keeps to the first date when a key is destroyed again', async () => {
      const keys = await openKeys();
      await keys.create('338');
      await keys.destroy('338', erasedAt);
      await keys.destroy('338', later);
      expect(await keys.keyOf('338')).toEqual({ erasedAt });
    });

    it('makes no key for a user whose key was destroyed before there was one', async () => {
      const keys = await openKeys();
      await keys.destroy('338', erasedAt);
      expect(await keys.create('338')).toEqual({ erasedAt });
    });

    it('takes any text as the id of a user', async () => {
      const keys = await openKeys();
      const ids = ['', 'ü "quoted"', 'a'.repeat(200)];
      const made = await Promise.all(ids.map((id) => keys.create(id)));
      expect(await Promise.all(ids.map((id) => keys.keyOf(id)))).toEqual(made);
    });
  });
}

/** Opens the same store again and again, as one process after another does. */
export type OpenPersonalKeys = (wrappingKeys: readonly Uint8Array[]) => PersonalKeys;

/** What every adapter that stores keys promises as well. `emptyStore` makes one for the running test. */
export function describeStoredPersonalKeysContract(
  name: string,
  emptyStore: () => Promise<OpenPersonalKeys>,
): void {
  const wrappingKey = () => new Uint8Array(randomBytes(32));
  describePersonalKeysContract(name, async () => (await emptyStore())([wrappingKey()]));

  describe(`the contract of stored personal keys: ${name}`, () => {
    it('are there after a restart, and so is what was destroyed', async () => {
      const [open, own] = [await emptyStore(), wrappingKey()];
      const keys = open([own]);
      await keys.prepare();
      const key = await keys.create('338');
      await keys.create('339');
      await keys.destroy('339', erasedAt);
      keys.close();
      const again = open([own]);
      await again.prepare();
      expect(await again.keyOf('338')).toEqual(key);
      expect(await again.keyOf('339')).toEqual({ erasedAt });
    });

    it('are refused under another master key, and put under a new one', async () => {
      const [open, old, current] = [await emptyStore(), wrappingKey(), wrappingKey()];
      const keys = open([old]);
      const ids = ['', ...Array.from({ length: 100 }, (_, index) => `${index}`)];
      const made = await Promise.all(ids.map((id) => keys.create(id)));
      keys.close();
      await expect(open([current]).keyOf('1')).rejects.toThrow(WrongWrappingKeyError);
      await open([current, old]).prepare();
      const renewed = open([current]);
      expect(await Promise.all(ids.map((id) => renewed.keyOf(id)))).toEqual(made);
      await expect(open([old]).keyOf('1')).rejects.toThrow(WrongWrappingKeyError);
      // Once more, with nothing left to do, and with the two in the other order.
      await open([current, old]).prepare();
      expect(await renewed.keyOf('1')).toEqual(made[2]);
      await open([old, current]).prepare();
      expect(await open([old]).keyOf('1')).toEqual(made[2]);
    });

    it('stay destroyed under a new master key', async () => {
      const [open, old, current] = [await emptyStore(), wrappingKey(), wrappingKey()];
      const keys = open([old]);
      await keys.create('338');
      await keys.destroy('338', erasedAt);
      keys.close();
      await open([current, old]).prepare();
      const renewed = open([current]);
      expect(await renewed.keyOf('338')).toEqual({ erasedAt });
      expect(await renewed.create('338')).toEqual({ erasedAt });
    });

    it('can be destroyed after a change of the master key', async () => {
      const [open, old, current] = [await emptyStore(), wrappingKey(), wrappingKey()];
      await open([old]).create('338');
      const keys = open([current, old]);
      await keys.prepare();
      await keys.destroy('338', erasedAt);
      expect(await keys.keyOf('338')).toEqual({ erasedAt });
      expect(await open([old]).keyOf('338')).toEqual({ erasedAt });
    });

    it('can be destroyed without the master key that they are under', async () => {
      const open = await emptyStore();
      await open([wrappingKey()]).create('338');
      const keys = open([wrappingKey()]);
      await keys.destroy('338', erasedAt);
      expect(await keys.keyOf('338')).toEqual({ erasedAt });
    });

    it('from elsewhere, under no key that is known, do not keep the others from a new master key', async () => {
      const [open, old, current] = [await emptyStore(), wrappingKey(), wrappingKey()];
      const key = await open([old]).create('338');
      await open([wrappingKey()]).create('339');
      await open([current, old]).prepare();
      const renewed = open([current]);
      expect(await renewed.keyOf('338')).toEqual(key);
      await expect(renewed.keyOf('339')).rejects.toThrow(WrongWrappingKeyError);
    });
  });
}
