import { getEventListeners } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { EventStoreUnavailableError } from '../../src/eventstore/errors.ts';
import type { EventStore, RecordedEvent } from '../../src/eventstore/event-store.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { deliveryNode } from '../support/delivery-node.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { newEvent } from '../support/new-event.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const target = {
  types: ['MachineSecretSet'],
  userId: '',
  description: '',
  organizationId,
  after: undefined,
};

/** A published event of a type that the read model has no use for, so that it is the feed that cannot read it. */
const unreadable = newEvent('unreadable', 'UserNameClaimed');

test('an event that cannot be read ends the feed and its followers, and its end is told', async () => {
  const store = emptyStore();
  const { feed } = await deliveryNode(store);
  const { signal } = new AbortController();
  const followed = Array.fromAsync(feed.follow({ after: feed.position, signal }));
  await store.append('userName-one', [unreadable], 'any');
  await expect(feed.finished()).rejects.toThrow(/no readable metadata/);
  expect(feed.isRunning).toBe(false);
  await followed;
});

test('what nobody followed is given to whoever asks for it later, and what happens after that follows', async () => {
  const store = emptyStore();
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const { feed } = await deliveryNode(store);
  const begin = feed.position;
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const watched: bigint[] = [];
  const watch = async () => {
    const accept = ({ revision }: RecordedEvent) => revision % 2n === 0n;
    for await (const { revision } of feed.watch(accept, end.signal)) watched.push(revision);
  };
  const watching = watch();
  await appendSecretsSet(store, 'one', 3);
  await eventually(() => expect(feed.position).toBe(begin + 3n));

  const followed: bigint[] = [];
  const follow = async () => {
    for await (const { events } of feed.follow({ after: begin, signal: end.signal })) {
      followed.push(...events.map(({ recorded }) => recorded.revision));
    }
  };
  const following = follow();
  await eventually(() => expect(followed).toEqual([1n, 2n, 3n]));
  await appendSecretsSet(store, 'one', 2);
  await eventually(() => expect(followed).toEqual([1n, 2n, 3n, 4n, 5n]));
  expect(watched).toEqual([2n, 4n]);
  end.abort();
  await Promise.all([watching, following]);
});

test('whoever stops following leaves nothing behind at the signals', async () => {
  const store = emptyStore();
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const { feed } = await deliveryNode(store);
  const { signal } = new AbortController();
  const any = vi.spyOn(AbortSignal, 'any');
  onTestFinished(() => any.mockRestore());
  for await (const { events } of feed.follow({ after: 0n, signal })) {
    expect(events.length).toBeGreaterThan(0);
    break;
  }
  const place = any.mock.calls.findIndex(([signals]) => [...signals].includes(signal));
  const followed = any.mock.results[place]?.value as AbortSignal;
  expect(getEventListeners(followed, 'abort')).toEqual([]);
});

test('workers of webhooks do not begin again and again where the feed has ended', async () => {
  const store = emptyStore();
  const { webhooks, feed } = await deliveryNode(store);
  const claims = async () =>
    (await Array.fromAsync(store.readAll())).filter(({ type }) => type === 'SubscriptionClaimed').length;
  await webhooks.add({ ...target, url: (await webhookReceiver()).url }, context);
  await eventually(async () => expect(await claims()).toBe(1));
  await store.append('userName-one', [unreadable], 'any');
  await expect(feed.finished()).rejects.toThrow();
  // Longer than the pause before a worker is started again.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await claims()).toBe(1);
});

test('a store that cannot be reached for a while delays the feed, and does not end it', async () => {
  const store = emptyStore();
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  let isDown = false;
  let refused = 0;
  const flaky: EventStore = {
    append: (...args) => store.append(...args),
    readAll: (...args) => store.readAll(...args),
    subscribe: (...args) => store.subscribe(...args),
    close: async () => {},
    // Only where the organization of an event is looked up.
    readStream: (...args) => {
      if (!isDown || args[0] !== 'machineUser-one') return store.readStream(...args);
      if (++refused === 2) isDown = false;
      throw new EventStoreUnavailableError('it is restarted');
    },
  };
  const { webhooks, feed, errors } = await deliveryNode(flaky);
  const receiver = await webhookReceiver();
  await webhooks.add({ ...target, url: receiver.url }, context);
  await eventually(async () =>
    expect((await Array.fromAsync(store.readAll())).map(({ type }) => type)).toContain('SubscriptionClaimed'),
  );
  isDown = true;
  await appendSecretsSet(store, 'one', 1);
  await eventually(() => expect(receiver.versions('one')).toEqual([2]));
  expect([refused, feed.isRunning, errors]).toEqual([2, true, []]);
});
