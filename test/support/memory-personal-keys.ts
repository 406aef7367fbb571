import { randomBytes } from 'node:crypto';
import type { PersonalKey, PersonalKeys } from '../../src/eventstore/personal-keys.ts';

/** Keys for one test. */
export function memoryPersonalKeys(): PersonalKeys {
  const keys = new Map<string, PersonalKey>();
  return {
    needsScavenge: false,
    async prepare() {},
    keyOf: async (userId) => keys.get(userId),
    async create(userId) {
      const key = keys.get(userId) ?? { key: randomBytes(32) };
      keys.set(userId, key);
      return key;
    },
    async destroy(userId, erasedAt) {
      const known = keys.get(userId);
      keys.set(userId, known !== undefined && 'erasedAt' in known ? known : { erasedAt });
    },
    close() {},
  };
}
