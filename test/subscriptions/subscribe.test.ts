import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it, onTestFinished, test } from 'vitest';
import { machineUser, streamOf, subscription as subscriptionAggregate } from '../../src/domain/aggregates.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import type { CloudEvent } from '../../src/subscriptions/cloud-event.ts';
import { StoreFeed } from '../../src/subscriptions/event-feed.ts';
import { followEvents, type SubscribeOptions, subscribe } from '../../src/subscriptions/subscribe.ts';
import { RetryLaterError } from '../../src/subscriptions/subscription-worker.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { withAppend } from '../support/faulty-event-store.ts';

const fastRetry = { firstDelay: 1, longestDelay: 5, longestOutageDelay: 5 };

/** A machine user with so many secrets set: an addition and as many more events. */
async function userWithSecrets(
  store: EventStore,
  userId: string,
  secrets: number,
  organization = organizationId,
) {
  const { machineUsers } = node(store);
  await machineUsers.add({ ...robot, organizationId: organization, userId, userName: userId }, context);
  for (let count = 0; count < secrets; count++) {
    await machineUsers.setSecret({ userId, organizationId: organization }, context);
  }
}

/** Subscribes until the test ends, and collects what the handler took. */
function collect(
  eventStore: EventStore,
  options: Omit<Partial<SubscribeOptions>, 'eventStore' | 'signal'> & {
    readonly fail?: (event: CloudEvent) => boolean;
  } = {},
) {
  const events: CloudEvent[] = [];
  const attempts: CloudEvent[] = [];
  const stopping = new AbortController();
  const subscription = subscribe({
    eventStore,
    name: 'collector',
    retry: fastRetry,
    handler: async (event) => {
      attempts.push(event);
      if (options.fail?.(event)) throw new Error('refused');
      events.push(event);
    },
    ...options,
    signal: stopping.signal,
  });
  const stop = async () => {
    stopping.abort();
    await subscription.finished;
  };
  onTestFinished(() => stop().catch(() => {}));
  return { events, attempts, subscription, stop };
}

const versions = (events: readonly CloudEvent[], userId: string) =>
  events
    .filter((event) => event.subject === `machineUser-${userId}`)
    .map((event) => Number(event.streamversion));
const types = (events: readonly CloudEvent[]) => events.map((event) => event.type.replace('keyturn.v1.', ''));

describe('events', () => {
  it('come from the log and go on as it grows, each as a CloudEvent', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    const { events } = collect(store, { source: 'https://keyturn.example' });
    await eventually(() =>
      expect(types(events)).toEqual(['UserNameClaimed', 'MachineUserAdded', 'MachineSecretSet']),
    );
    await node(store).machineUsers.removeSecret({ userId: 'one', organizationId }, context);
    await eventually(() => expect(events).toHaveLength(4));
    expect(events[3]).toMatchObject({
      specversion: '1.0',
      source: 'https://keyturn.example',
      type: 'keyturn.v1.MachineSecretRemoved',
      subject: 'machineUser-one',
      streamversion: '3',
      organizationid: organizationId,
      data: { userId: 'one', secretIds: [(events[2] as CloudEvent<'MachineSecretSet'>).data.secretId] },
    });
  });

  it('are filtered by type, organization and user', async () => {
    const store = emptyStore();
    for (const [userId, organization] of [
      ['a', 'org-1'],
      ['b', 'org-1'],
      ['c', 'org-2'],
    ] as const) {
      await userWithSecrets(store, userId, 1, organization);
    }
    const filtered = async (filter: NonNullable<SubscribeOptions['filter']>, name: string, count: number) => {
      const { events } = collect(store, { filter, name });
      await eventually(() => expect(events.length).toBeGreaterThanOrEqual(count));
      return events.map((event) => [event.type.replace('keyturn.v1.', ''), event.subject]);
    };
    expect(await filtered({ types: ['MachineSecretSet'] }, 'types', 3)).toEqual([
      ['MachineSecretSet', 'machineUser-a'],
      ['MachineSecretSet', 'machineUser-b'],
      ['MachineSecretSet', 'machineUser-c'],
    ]);
    expect(await filtered({ organizationId: 'org-2' }, 'organization', 2)).toEqual([
      ['MachineUserAdded', 'machineUser-c'],
      ['MachineSecretSet', 'machineUser-c'],
    ]);
    expect(await filtered({ userId: 'b' }, 'user', 3)).toEqual([
      ['UserNameClaimed', 'userName-b'],
      ['MachineUserAdded', 'machineUser-b'],
      ['MachineSecretSet', 'machineUser-b'],
    ]);
  });

  it('of a user that was removed still belong to its organization', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    await node(store).commands.execute(machineUser, 'one', { type: 'Remove', organizationId }, context);
    const { events } = collect(store, { filter: { organizationId, types: ['MachineUserRemoved'] } });
    await eventually(() => expect(events).toHaveLength(1));
  });

  it('have the type of what the filter lets through', () => {
    const handler = (event: CloudEvent<'MachineSecretSet' | 'MachineSecretRemoved'>) => {
      if (event.type === 'keyturn.v1.MachineSecretSet')
        expectTypeOf(event.data.secretId).toEqualTypeOf<string>();
      else expectTypeOf(event.data.secretIds).toEqualTypeOf<string[]>();
    };
    expect(handler).toBeTypeOf('function');
  });

  it('can be iterated over without a name', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 2);
    const feed = new StoreFeed(store, () => 'urn:keyturn');
    const seen: string[] = [];
    for await (const event of followEvents({ feed, filter: { types: ['MachineSecretSet'] } })) {
      expectTypeOf(event.data.secretId).toEqualTypeOf<string>();
      seen.push(event.streamversion);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(['2', '3']);
  });
});

describe('progress', () => {
  it('is kept: a new start goes on where the last one stopped', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 2);
    const first = collect(store);
    await eventually(() => expect(first.events).toHaveLength(4));
    await first.stop();
    await node(store).machineUsers.setSecret({ userId: 'one', organizationId }, context);
    const second = collect(store);
    await eventually(() => expect(second.events).toHaveLength(1));
    await second.stop();
    expect(second.events[0]?.streamversion).toBe('4');
  });

  it('is kept under its name only, and a new name begins where it is told', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    const first = collect(store, { name: 'first' });
    await eventually(() => expect(first.events).toHaveLength(3));
    const second = collect(store, { name: 'second', after: BigInt(first.events[1]?.position ?? 0) });
    await eventually(() => expect(types(second.events)).toEqual(['MachineSecretSet']));
    const third = collect(store, { name: 'third', after: 'end' });
    await eventually(async () =>
      expect(await Array.fromAsync(store.readStream(streamOf(subscriptionAggregate, 'third')))).toHaveLength(
        1,
      ),
    );
    await node(store).machineUsers.setSecret({ userId: 'one', organizationId }, context);
    await eventually(() => expect(third.events.map((event) => event.streamversion)).toEqual(['3']));
  });

  it('is coarse: a thousand events cost two in the log', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1000);
    const { events, stop } = collect(store);
    await eventually(() => expect(events).toHaveLength(1002), 20_000);
    await stop();
    const saved = await Array.fromAsync(store.readStream(streamOf(subscriptionAggregate, 'collector')));
    expect(saved.map((event) => event.type)).toEqual([
      'SubscriptionClaimed',
      'SubscriptionAdvanced',
      'SubscriptionAdvanced',
    ]);
  });

  it('does not feed on itself: idle subscribers write nothing', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    const subscribers = ['a', 'b', 'c'].map((name) => collect(store, { name, saveInterval: 1 }));
    for (const { events } of subscribers) await eventually(() => expect(events).toHaveLength(3));
    const count = async () => (await Array.fromAsync(store.readAll())).length;
    await eventually(async () => {
      const before = await count();
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await count()).toBe(before);
    });
  });

  it('of a crashed process is taken up by the next one: events come again, none is missing', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 3);
    const crashed = collect(store, { saveInterval: 60_000 });
    await eventually(() => expect(crashed.events).toHaveLength(5));
    // It never saved, and is still there when the next one begins.
    const next = collect(store);
    await eventually(() => expect(next.events).toHaveLength(5));
    expect(next.events).toEqual(crashed.events);
    await next.stop();
    await expect(crashed.stop()).rejects.toMatchObject({ code: 'SUBSCRIPTION_TAKEN_OVER' });
    const last = collect(store);
    await node(store).machineUsers.setSecret({ userId: 'one', organizationId }, context);
    await eventually(() => expect(last.events.map((event) => event.streamversion)).toEqual(['5']));
  });
});

describe('a handler that throws', () => {
  it('is called again, and later events about the same user wait for it', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 2);
    await userWithSecrets(store, 'two', 2);
    let refusals = 4;
    const { events, attempts, subscription } = collect(store, {
      filter: { types: ['MachineSecretSet'] },
      fail: (event) => event.subject === 'machineUser-one' && refusals-- > 0,
    });
    await eventually(() => expect(events).toHaveLength(4));
    expect(versions(attempts, 'one')).toEqual([2, 2, 2, 2, 2, 3]);
    expect(versions(events, 'one')).toEqual([2, 3]);
    expect(versions(events, 'two')).toEqual([2, 3]);
    // It did not wait for the other user.
    expect(types(events)).toHaveLength(4);
    expect(events[0]?.subject).toBe('machineUser-two');
    expect(await subscription.parked()).toEqual([]);
  });

  it('has the event parked in the end, and goes on with the others', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 2);
    const failed: number[] = [];
    let broken = true;
    const { events, subscription, stop } = collect(store, {
      filter: { types: ['MachineSecretSet'] },
      retry: { ...fastRetry, maxAttempts: 3 },
      fail: (event) => broken && event.streamversion === '2',
      onFailedAttempt: ({ attempts }) => void failed.push(attempts),
    });
    await eventually(() => expect(versions(events, 'one')).toEqual([3]));
    expect(failed).toEqual([1, 2, 3]);
    const [parked] = await subscription.parked();
    expect(parked).toMatchObject({
      stream: 'machineUser-one',
      revision: '1',
      attempts: 3,
      reason: 'refused',
    });

    broken = false;
    await subscription.replay(parked?.eventId ?? '');
    await eventually(() => expect(versions(events, 'one')).toEqual([3, 2]));
    expect(await subscription.parked()).toEqual([]);
    await expect(subscription.replay(parked?.eventId ?? '')).rejects.toMatchObject({
      code: 'PARKED_EVENT_NOT_FOUND',
    });
    await stop();
  });

  it('gets all parked events again when asked to', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 3);
    let broken = true;
    const { events, subscription } = collect(store, {
      filter: { types: ['MachineSecretSet'] },
      retry: { ...fastRetry, maxAttempts: 1 },
      fail: () => broken,
    });
    await eventually(async () => expect(await subscription.parked()).toHaveLength(3));
    broken = false;
    expect(await subscription.replayAll()).toBe(3);
    await eventually(() => expect(versions(events, 'one')).toEqual([2, 3, 4]));
  });

  it.each([
    ['in some way', () => new Error('refused')],
    ['and says when to try again', () => new RetryLaterError('later', 1)],
  ])('for many events at once, %s, is asked again after one step of the backoff', async (_how, failure) => {
    const store = emptyStore();
    const users = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    for (const userId of users) await userWithSecrets(store, userId, 1);
    const together = Promise.withResolvers<void>();
    let attempts = 0;
    const { events } = collect(store, {
      filter: { types: ['MachineSecretSet'] },
      // Another step, and the test does not live to see the next attempt.
      retry: { firstDelay: 10, factor: 100_000, longestDelay: 10, longestOutageDelay: 3_600_000 },
      concurrency: users.length,
      handler: async (event) => {
        attempts++;
        if (attempts > users.length) return void events.push(event);
        if (attempts === users.length) together.resolve();
        await together.promise;
        throw failure();
      },
    });
    await eventually(() => expect(events).toHaveLength(users.length));
  });

  it('ends the subscription with the error of who is told of the failure, if that throws too', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    const { subscription } = collect(store, {
      fail: () => true,
      onFailedAttempt: () => {
        throw new Error('the alarm is broken');
      },
    });
    await expect(subscription.finished).rejects.toThrow('the alarm is broken');
  });

  it('that failed for an event is asked again after a restart, with what it already took left out', async () => {
    const store = emptyStore();
    await userWithSecrets(store, 'one', 1);
    await userWithSecrets(store, 'two', 2);
    const first = collect(store, {
      filter: { types: ['MachineSecretSet'] },
      retry: { ...fastRetry, maxAttempts: 1000 },
      fail: (event) => event.subject === 'machineUser-one',
    });
    await eventually(() => expect(first.events).toHaveLength(2));
    await first.stop();
    const second = collect(store, { filter: { types: ['MachineSecretSet'] } });
    await eventually(() => expect(second.events).toHaveLength(1));
    expect(versions(second.events, 'one')).toEqual([2]);
  });
});

test('a subscriber cannot read further ahead than its progress can name', () => {
  const options = { eventStore: emptyStore(), name: 'far', handler: () => {} };
  for (const maxPending of [0, 1001, Number.NaN]) {
    expect(() => subscribe({ ...options, maxPending })).toThrow(RangeError);
  }
});

test('who subscribes is told when progress cannot be saved', async () => {
  const store = emptyStore();
  await userWithSecrets(store, 'one', 1);
  let isBroken = false;
  const broken = withAppend(store, async (append, ...args) => {
    if (isBroken) throw new Error('the disk is full');
    return append(...args);
  });
  const told: unknown[] = [];
  const { stop } = collect(broken, {
    saveInterval: 1,
    handler: () => {
      isBroken = true;
    },
    onSaveError: (error) => void told.push(error),
  });
  await eventually(() => expect(told).not.toEqual([]));
  isBroken = false;
  await stop();
});

test('a slow handler holds the reading up', async () => {
  const store = emptyStore();
  await userWithSecrets(store, 'one', 1500);
  let batches = 0;
  const counting: EventStore = {
    append: store.append.bind(store),
    readStream: store.readStream.bind(store),
    readAll: store.readAll.bind(store),
    close: store.close.bind(store),
    async *subscribe(options) {
      for await (const batch of store.subscribe(options)) {
        batches++;
        yield batch;
      }
    },
  };
  const blocked = Promise.withResolvers<void>();
  let calls = 0;
  const stopping = new AbortController();
  const { finished } = subscribe({
    eventStore: counting,
    name: 'slow',
    maxPending: 10,
    signal: stopping.signal,
    handler: () => {
      calls++;
      return blocked.promise;
    },
  });
  await eventually(() => expect(calls).toBe(1));
  expect(batches).toBe(1);
  blocked.resolve();
  await eventually(() => expect(calls).toBe(1502), 10_000);
  expect(batches).toBeGreaterThan(2);
  stopping.abort();
  await finished;
});

test('the abort signal lets the handler at work finish, and begins no other', async () => {
  const store = emptyStore();
  await userWithSecrets(store, 'one', 3);
  const stopping = new AbortController();
  const handled: string[] = [];
  const begun = Promise.withResolvers<void>();
  const { finished } = subscribe({
    eventStore: store,
    name: 'stopped',
    filter: { types: ['MachineSecretSet'] },
    signal: stopping.signal,
    handler: async ({ streamversion }, { signal }) => {
      begun.resolve();
      await once(signal, 'abort');
      handled.push(streamversion);
    },
  });
  await begun.promise;
  stopping.abort();
  await finished;
  expect(handled).toEqual(['2']);
  const next = collect(store, { name: 'stopped', filter: { types: ['MachineSecretSet'] } });
  await eventually(() => expect(versions(next.events, 'one')).toEqual([3, 4]));
});

test.each(['', 'with space', 'webhook-1', '../x'])('the name %j is refused', (name) => {
  expect(() => subscribe({ eventStore: emptyStore(), name, handler: () => {} })).toThrow(TypeError);
});

test('whatever fails and whenever it stops or crashes: every event arrives, in order for each user', async () => {
  const store = emptyStore();
  for (const userId of ['a', 'b', 'c']) await userWithSecrets(store, userId, 12);
  const expected = Array.from({ length: 13 }, (_, index) => index + 1);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ takes: fc.integer({ min: 0, max: 15 }), crashes: fc.boolean() }), {
        maxLength: 4,
      }),
      fc.integer({ min: 1, max: 4 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
      async (interruptions, concurrency, dice) => {
        const name = `property-${run++}`;
        const taken: CloudEvent[] = [];
        const session = (enough: () => boolean, crashes: boolean) => {
          const stopping = new AbortController();
          const { finished } = subscribe({
            eventStore: store,
            name,
            concurrency,
            saveInterval: crashes ? 60_000 : 1,
            retry: { ...fastRetry, maxAttempts: 1000 },
            signal: stopping.signal,
            handler: async (event) => {
              if (dice.next().value === 0) throw new Error('refused');
              taken.push(event);
              if (enough()) stopping.abort();
            },
          });
          return finished;
        };
        const complete = () =>
          ['a', 'b', 'c'].every((userId) => new Set(versions(taken, userId)).size === expected.length);
        for (const { takes, crashes } of interruptions) {
          const goal = taken.length + takes;
          if (!complete()) await session(() => taken.length >= goal || complete(), crashes);
        }
        if (!complete()) await session(complete, false);
        for (const userId of ['a', 'b', 'c']) {
          const firsts = [...new Set(versions(taken, userId))];
          expect(firsts).toEqual(expected);
        }
      },
    ),
    { numRuns: 15 },
  );
});
