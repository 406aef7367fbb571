import { describe, expect, it } from 'vitest';
import { AttemptLimits, TooManyAttemptsError } from '../../src/application/attempt-limits.ts';

const limitsOf = (failuresPerClient = 3, failuresPerSource = 100) =>
  new AttemptLimits({ failuresPerClient, failuresPerSource });

async function fail(limits: AttemptLimits, times: number, loginName: string, address: string) {
  for (let time = 0; time < times; time++) await limits.failed({ loginName }, address);
}

const isRefused = async (limits: AttemptLimits, loginName: string, address: string) => {
  try {
    await limits.require({ loginName }, address);
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
    await limits.require(secret, '192.0.2.1');
    for (let time = 0; time < 3; time++) await limits.failed(secret, '192.0.2.1');
    await expect(limits.require(secret, '192.0.2.1')).rejects.toThrow(TooManyAttemptsError);
    await limits.require(secret, '192.0.2.2');
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
