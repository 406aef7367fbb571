import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { AttemptLimits, TooManyAttemptsError } from '../../src/application/attempt-limits.ts';

const limitsOf = (failuresPerClient = 3, failuresPerSource = 100) =>
  new AttemptLimits({ failuresPerClient, failuresPerSource });

async function fail(limits: AttemptLimits, times: number, loginName: string, address: string) {
  for (let time = 0; time < times; time++) await limits.failed({ loginName }, address);
}

const isRefused = async (limits: AttemptLimits, loginName: string, address: string) => {
  try {
    (await limits.takePlace({ loginName }, address))();
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(TooManyAttemptsError);
    expect((error as TooManyAttemptsError).retryAfter).toBeGreaterThan(0);
    expect((error as TooManyAttemptsError).retryAfter).toBeLessThanOrEqual(60);
    return true;
  }
};

describe('limits of failed attempts', () => {
  it('refuse a client from the address that failed too often, in any spelling, and from no other', async () => {
    const limits = limitsOf();
    await fail(limits, 2, 'robot', '192.0.2.1');
    expect(await isRefused(limits, 'robot', '192.0.2.1')).toBe(false);
    await fail(limits, 1, ' ROBOT', '192.0.2.1');
    expect(await isRefused(limits, 'robot', '192.0.2.1')).toBe(true);
    expect(await isRefused(limits, 'robot', '::ffff:192.0.2.1')).toBe(true);
    expect(await isRefused(limits, 'robot', '192.0.2.2')).toBe(false);
    expect(await isRefused(limits, 'welder', '192.0.2.1')).toBe(false);
  });

  it('end with their time, also when the clock went on without the timers', async () => {
    const limits = limitsOf();
    await fail(limits, 3, 'robot', '192.0.2.1');
    expect(await isRefused(limits, 'robot', '192.0.2.1')).toBe(true);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect(await isRefused(limits, 'robot', '192.0.2.1')).toBe(false);
  });

  it('refuse an address that tries many clients', async () => {
    const limits = limitsOf(3, 5);
    for (const name of ['a', 'b', 'c', 'd', 'e']) await fail(limits, 1, name, '192.0.2.1');
    expect(await isRefused(limits, 'f', '192.0.2.1')).toBe(true);
    expect(await isRefused(limits, 'a', '192.0.2.2')).toBe(false);
  });

  it('count for a live secret alone', async () => {
    const limits = limitsOf(3, 5);
    const secret = { secretId: 'id' };
    for (const name of ['a', 'b', 'c', 'd', 'e']) await fail(limits, 3, name, '192.0.2.1');
    (await limits.takePlace(secret, '192.0.2.1'))();
    for (let time = 0; time < 3; time++) await limits.failed(secret, '192.0.2.1');
    await expect(limits.takePlace(secret, '192.0.2.1')).rejects.toThrow(TooManyAttemptsError);
    await limits.takePlace(secret, '192.0.2.2');
  });

  it('take a network of IPv6 for one address', async () => {
    const limits = limitsOf();
    await fail(limits, 3, 'robot', '2001:db8:0:1::1');
    expect(await isRefused(limits, 'robot', '2001:db8::1:2:3:4:5')).toBe(true);
    expect(await isRefused(limits, 'robot', '2001:db8:0:2::1')).toBe(false);
  });

  it('slow each further refusal, up to a second', async () => {
    const limits = limitsOf(100);
    const delays: number[] = [];
    for (let time = 0; time < 8; time++)
      delays.push(await limits.failed({ loginName: 'robot' }, '192.0.2.1'));
    expect(delays).toEqual([25, 50, 100, 200, 400, 800, 1000, 1000]);
  });
});

/** Attempts that are all sent at once: each takes a turn of the event loop, and is right or wrong. */
async function attemptAtOnce(
  limits: AttemptLimits,
  attempts: readonly { readonly loginName: string; readonly isRight: boolean }[],
) {
  let underWay = 0;
  let mostUnderWay = 0;
  let made = 0;
  const attempt = async ({ loginName, isRight }: (typeof attempts)[number]) => {
    const leavePlace = await limits.takePlace({ loginName }, '192.0.2.1');
    mostUnderWay = Math.max(mostUnderWay, ++underWay);
    made++;
    await setImmediate();
    if (!isRight) await limits.failed({ loginName }, '192.0.2.1');
    underWay--;
    leavePlace();
  };
  const results = await Promise.allSettled(attempts.map(attempt));
  const refused = results.filter(({ status }) => status === 'rejected').length;
  return { made, refused, mostUnderWay };
}

const times = (count: number, loginName: string, isRight: boolean) =>
  Array.from({ length: count }, () => ({ loginName, isRight }));

describe('attempts that are sent at once', () => {
  it('are made as often as they may fail', async () => {
    expect(await attemptAtOnce(limitsOf(3), times(500, 'robot', false))).toEqual({
      made: 3,
      refused: 497,
      mostUnderWay: 3,
    });
  });

  it('of one client that is right wait for each other, and none is refused', async () => {
    const result = await attemptAtOnce(limitsOf(3), times(500, 'robot', true));
    expect(result).toEqual({ made: 500, refused: 0, mostUnderWay: 3 });
  });

  it('of many clients that are right are none of them refused, also beside one that is wrong', async () => {
    const many = Array.from({ length: 2000 }, (_, index) => times(1, `robot-${index}`, true)).flat();
    const { made, refused } = await attemptAtOnce(limitsOf(3, 10), [...times(20, 'guessed', false), ...many]);
    expect([made, refused]).toEqual([2003, 17]);
  });

  it('leave nobody waiting for a client when the one before waits for its address and is refused', async () => {
    const limits = limitsOf(1, 2);
    const take = (loginName: string) => limits.takePlace({ loginName }, '192.0.2.1');
    const [leave, leaveOther] = [await take('robot'), await take('welder')];
    const waiting = Promise.allSettled([take('robot'), take('robot')]);
    await setImmediate();
    // One of two failures of the address is left, and the other client may need it.
    await fail(limits, 1, 'welder', '192.0.2.1');
    leave();
    await setImmediate();
    await fail(limits, 1, 'welder', '192.0.2.1');
    leaveOther();
    expect(await waiting).toMatchObject([
      { reason: expect.any(TooManyAttemptsError) },
      { reason: expect.any(TooManyAttemptsError) },
    ]);
  });

  it('leave nobody waiting, whoever is right', async () => {
    const attempts = fc.array(
      fc.record({ loginName: fc.constantFrom('a', 'b', 'c'), isRight: fc.boolean() }),
      {
        maxLength: 60,
      },
    );
    await fc.assert(
      fc.asyncProperty(
        attempts,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        async (all, ...limits) => {
          const { made, refused } = await attemptAtOnce(limitsOf(...limits), all);
          expect(made + refused).toBe(all.length);
          const wrong = all.filter(({ isRight }) => !isRight).length;
          expect(refused === 0 || wrong >= Math.min(...limits)).toBe(true);
        },
      ),
    );
  });
});
