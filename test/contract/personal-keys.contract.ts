import { describe, expect, it } from 'vitest';
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
