import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { streamOf, subscription } from '../../src/domain/aggregates.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { type EventFeed, StoreFeed } from '../../src/subscriptions/event-feed.ts';
import { type SubscribeOptions, subscribe } from '../../src/subscriptions/subscribe.ts';
import { context, node, organizationId, robot } from '../support/application.ts';
import { damageableLog, damages } from '../support/damaged-log.ts';
import { deliveryNode } from '../support/delivery-node.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const users = ['a', 'b', 'c'];
/** Longer than a test may take. */
const longRetry = { firstDelay: 3_600_000, longestDelay: 3_600_000, longestOutageDelay: 3_600_000 };

/** A log in which some users were set secrets, in turn. */
async function damageableSecrets(rounds = 6) {
  const log = damageableLog();
  const { machineUsers } = node(log.store);
  for (const userId of users) await machineUsers.add({ ...robot, userId, userName: userId }, context);
  for (let round = 0; round < rounds; round++) {
    for (const userId of users) await appendSecretsSet(log.store, userId, 1);
  }
  const secretsSet = (await Array.fromAsync(log.store.readAll()))
    .filter(({ type }) => type === 'MachineSecretSet')
    .map(({ position }) => position);
  return { ...log, secretsSet };
}

type Options = Partial<Omit<SubscribeOptions<'MachineSecretSet'>, 'eventStore'>>;

function subscribed(eventStore: EventStore, options: Options = {}) {
  const handled: bigint[] = [];
  const { finished } = subscribe({
    eventStore,
    name: 'reader',
    filter: { types: ['MachineSecretSet'] },
    handler: async ({ position }) => {
      await nextTurn();
      handled.push(BigInt(position));
    },
    ...options,
  });
  return { handled, finished };
}

/** In log order. */
const sorted = (positions: readonly bigint[]) => positions.toSorted((a, b) => Number(a - b));

describe('a subscriber within the process', () => {
  it('gets what stands before the event, ends with what is wrong with it, and goes on there once it is mended', async () => {
    const { store, damage, secretsSet } = await damageableSecrets();
    let run = 0;
    const property = fc.asyncProperty(
      fc.constantFrom(...secretsSet),
      fc.constantFrom(...damages),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      async (at, how, concurrency, maxPending) => {
        const options = { name: `reader-${run++}`, concurrency, maxPending };
        const mend = damage(at, how);
        const before = subscribed(store, options);
        await expect(before.finished).rejects.toThrow(/readable/);
        expect(sorted(before.handled)).toEqual(secretsSet.filter((position) => position < at));
        mend();
        const stopping = new AbortController();
        const after = subscribed(store, { ...options, signal: stopping.signal });
        const rest = secretsSet.filter((position) => position >= at);
        await eventually(() => expect(sorted(after.handled)).toEqual(rest));
        stopping.abort();
        await after.finished;
      },
    );
    await fc.assert(property, { numRuns: 20 });
  });

  it('is not held up by what is to be tried again later: its next start tries it', async () => {
    const { store, damage, secretsSet } = await damageableSecrets();
    damage(secretsSet.at(-1) ?? 0n);
    const attempts: number[] = [];
    const refusing: Options = {
      retry: longRetry,
      filter: { types: ['MachineSecretSet'], userId: 'a' },
      handler: (_event, { number }) => {
        attempts.push(number);
        throw new Error('refused');
      },
    };
    for (let start = 0; start < 2; start++) {
      await expect(subscribed(store, refusing).finished).rejects.toThrow('is not readable');
    }
    expect(attempts).toEqual([1, 2]);
  });

  it('gets of what it has left what stands before the event, and loses none of it', async () => {
    const { store, damage, secretsSet } = await damageableSecrets();
    const mendLast = damage(secretsSet.at(-1) ?? 0n);
    const refusing = subscribed(store, {
      concurrency: users.length,
      retry: longRetry,
      handler: () => {
        throw new Error('refused');
      },
    });
    await expect(refusing.finished).rejects.toThrow('is not readable');
    mendLast();
    const [saved] = await Array.fromAsync(
      store.readStream(streamOf(subscription, 'reader'), { direction: 'backwards', limit: 1 }),
    );
    expect(saved?.data['pending']).toHaveLength(secretsSet.length - 1);
    const at = secretsSet[7] ?? 0n;
    const mend = damage(at);
    const before = subscribed(store);
    await expect(before.finished).rejects.toThrow('is not readable');
    expect(sorted(before.handled)).toEqual(secretsSet.slice(0, 7));
    mend();
    const ending = new AbortController();
    const after = subscribed(store, { signal: ending.signal });
    await eventually(() => expect(sorted(after.handled)).toEqual(secretsSet.slice(7)));
    ending.abort();
    await after.finished;
  });

  it('is stopped as ever while it handles what stands before the event', async () => {
    const { store, damage, secretsSet } = await damageableSecrets();
    damage(secretsSet.at(-1) ?? 0n);
    const isRead = Promise.withResolvers<void>();
    const watched: EventStore = {
      append: store.append.bind(store),
      readStream: store.readStream.bind(store),
      readAll: store.readAll.bind(store),
      close: store.close.bind(store),
      async *subscribe(options) {
        try {
          yield* store.subscribe(options);
        } finally {
          isRead.resolve();
        }
      },
    };
    const stopping = new AbortController();
    const begun: string[] = [];
    const { finished } = subscribed(watched, {
      signal: stopping.signal,
      handler: async ({ position }, { signal }) => {
        begun.push(position);
        await once(signal, 'abort');
      },
    });
    const ended = finished.catch((error: Error) => error.message);
    await isRead.promise;
    await nextTurn();
    await eventually(() => expect(begun).toHaveLength(1));
    stopping.abort();
    expect(await ended).toMatch(/is not readable/);
    expect(begun).toHaveLength(1);
  });
});

test.each(damages)(
  'a webhook is sent what stands before it, and the rest once it is mended (%s %s)',
  async (...how) => {
    const { store, damage, secretsSet } = await damageableSecrets();
    const receiver = await webhookReceiver();
    const { webhooks, errors } = await deliveryNode(store);
    const mend = damage(secretsSet.at(-1) ?? 0n, how);
    const asked = { types: ['MachineSecretSet'], userId: '', description: '', organizationId, after: '0' };
    await webhooks.add({ ...asked, url: receiver.url }, context);
    const received = () => users.map((userId) => receiver.versions(userId));
    const all = [2, 3, 4, 5, 6, 7];
    await eventually(() => expect(received()).toEqual([all, all, all.slice(0, -1)]));
    await eventually(() => expect(errors.map(String)).toContainEqual(expect.stringContaining('readable')));
    mend();
    await eventually(() => expect(received()).toEqual([all, all, all]), 10_000);
  },
);

describe.each(['the store', 'the feed of all'])('who follows %s', (which) => {
  it.each(damages)('is given what stands before it (%s %s)', async (...how) => {
    const { store, damage, secretsSet } = await damageableSecrets();
    const feed: EventFeed =
      which === 'the store' ? new StoreFeed(store, () => 'urn:keyturn') : (await deliveryNode(store)).feed;
    const at = secretsSet.at(-4) ?? 0n;
    damage(at, how);
    const told: bigint[] = [];
    const follow = async () => {
      const { signal } = new AbortController();
      for await (const { events, position } of feed.follow({ after: 0n, signal })) {
        told.push(...events.map((event) => event.position));
        expect(position).toBeLessThan(at);
      }
    };
    await expect(follow()).rejects.toThrow(/readable/);
    expect(told).toEqual(Array.from({ length: Number(at) - 1 }, (_, index) => BigInt(index + 1)));
  });
});
