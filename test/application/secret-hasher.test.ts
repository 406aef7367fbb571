import { expect, test } from 'vitest';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';

test('a hash is bcrypt of the configured cost, and verifies its own secret only', async () => {
  const hasher = bcryptHasher(5);
  const hashed = await hasher.hash('secret');
  expect(hashed).toMatch(/^\$2b\$05\$/);
  expect(await hasher.verify('secret', hashed)).toBe(true);
  expect(await hasher.verify('Secret', hashed)).toBe(false);
});

test('a hash of another cost is outdated', async () => {
  const hashed = await bcryptHasher(4).hash('secret');
  expect(bcryptHasher(4).isOutdated(hashed)).toBe(false);
  expect(bcryptHasher(5).isOutdated(hashed)).toBe(true);
});

test('a secret of which bcrypt would read only a part is refused', async () => {
  await expect(bcryptHasher(4).hash('x'.repeat(73))).rejects.toThrow();
});
