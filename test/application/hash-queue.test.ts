import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { boundedHasher } from '../../src/application/hash-queue.ts';
import type { SecretHasher } from '../../src/application/secret-hasher.ts';

/** Secrets under way are hashed, or fail, when it is told. */
function toldHasher(longest = 1000) {
  const underWay = new Map<string, PromiseWithResolvers<string>>();
  const told: SecretHasher = {
    hash: (secret) => {
      const hashing = Promise.withResolvers<string>();
      underWay.set(secret, hashing);
      return hashing.promise;
    },
    verify: async () => true,
    isOutdated: () => false,
  };
  const hasher = boundedHasher(told, longest);
  const settled: string[] = [];
  return {
    settled,
    hash: (secret: string) => {
      const note = (result: string) => void settled.push(result);
      return hasher.hash(secret).then(note, (error: Error) => note(`no ${error.message}`));
    },
    /** Resolves when what follows from it has happened, but for what waits for a time. */
    async finish(secret: string, isHashed = true): Promise<void> {
      if (isHashed) underWay.get(secret)?.resolve(`hash of ${secret}`);
      else underWay.get(secret)?.reject(new Error(`hash of ${secret}`));
      await turn();
    },
  };
}

const secrets = (count: number) => Array.from({ length: count }, (_, index) => `secret ${index}`);
const hashesOf = (some: readonly string[]) => some.map((secret) => `hash of ${secret}`);

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

describe('results', () => {
  it('of many secrets under way are handed on sixteen at a time', async () => {
    const { hash, finish, settled } = toldHasher();
    const all = secrets(64);
    for (const secret of all) hash(secret);
    for (const secret of all.slice(0, 15)) await finish(secret);
    expect(settled).toEqual([]);
    await finish('secret 15');
    expect(settled).toEqual(hashesOf(all.slice(0, 16)));
  });

  it('wait for others no longer than a moment', async () => {
    const { hash, finish, settled } = toldHasher();
    for (const secret of secrets(64)) hash(secret);
    for (const secret of secrets(3)) await finish(secret);
    expect(settled).toEqual([]);
    await vi.advanceTimersByTimeAsync(10);
    expect(settled).toEqual(hashesOf(secrets(3)));
    // The next one waits as long again.
    await finish('secret 3');
    await vi.advanceTimersByTimeAsync(9);
    expect(settled).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(1);
    expect(settled).toHaveLength(4);
  });

  it('of few secrets under way wait for nobody', async () => {
    const { hash, finish, settled } = toldHasher();
    for (const secret of secrets(16)) hash(secret);
    for (const secret of secrets(16)) {
      await finish(secret);
      expect(settled.at(-1)).toBe(`hash of ${secret}`);
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  it('reach whoever asked, in whatever order they come, and no last one waits', async () => {
    const hashed = fc.record({ isHashed: fc.boolean(), order: fc.nat() });
    await fc.assert(
      fc.asyncProperty(fc.array(hashed, { minLength: 1, maxLength: 50 }), async (ends) => {
        const { hash, finish, settled } = toldHasher();
        const all = ends.map((end, index) => ({ ...end, secret: `secret ${index}` }));
        for (const { secret } of all) hash(secret);
        const inOrder = all.toSorted((a, b) => a.order - b.order);
        for (const { secret, isHashed } of inOrder) await finish(secret, isHashed);
        expect(settled).toEqual(
          inOrder.map(({ secret, isHashed }) => `${isHashed ? '' : 'no '}hash of ${secret}`),
        );
        expect(vi.getTimerCount()).toBe(0);
      }),
    );
  });
});

it('a secret past the bound is refused until one of the others is hashed', async () => {
  const { hash, finish, settled } = toldHasher(2);
  for (const secret of secrets(3)) hash(secret);
  await turn();
  expect(settled).toEqual([expect.stringMatching(/^no /)]);
  await finish('secret 0');
  hash('secret 3');
  await finish('secret 1');
  await finish('secret 3');
  expect(settled.slice(1)).toEqual(hashesOf(['secret 0', 'secret 1', 'secret 3']));
});
