import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { CommandHandler } from '../../src/application/command-handler.ts';
import { MasterKeys } from '../../src/application/master-keys.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { Projector } from '../../src/projections/projector.ts';
import { LiveEventFeed } from '../../src/subscriptions/live-event-feed.ts';
import { type Leases, NodeLeases } from '../../src/subscriptions/webhooks/leases.ts';
import { TargetPolicy } from '../../src/subscriptions/webhooks/target-policy.ts';
import {
  WebhookDispatcher,
  webhookRetryPolicy,
} from '../../src/subscriptions/webhooks/webhook-dispatcher.ts';
import { WebhookSender } from '../../src/subscriptions/webhooks/webhook-sender.ts';
import { Webhooks } from '../../src/subscriptions/webhooks/webhooks.ts';
import { openReadModel } from './read-model.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** An event store as seen by a machine that can be cut off from it: nothing goes in, nothing comes out. */
export function cuttable(store: EventStore) {
  let isCut = false;
  const cut = new AbortController();
  const seen: EventStore = {
    append: async (...append) => {
      if (isCut) throw new Error('the event store does not answer');
      return store.append(...append);
    },
    readStream: (...read) => store.readStream(...read),
    readAll: (...read) => store.readAll(...read),
    subscribe: ({ signal, ...options } = {}) =>
      store.subscribe({ ...options, signal: AbortSignal.any([cut.signal, ...(signal ? [signal] : [])]) }),
    close: async () => {},
  };
  return {
    store: seen,
    cut: () => {
      isCut = true;
      cut.abort();
    },
  };
}

/** The delivery to webhooks of one of several processes on an event store. Stopped when the test ends. */
export async function deliveryNode(
  eventStore: EventStore,
  options: {
    readonly leases?: Leases;
    readonly expiry?: number;
    readonly beatInterval?: number;
    readonly timeout?: number;
  } = {},
) {
  const nodeId = randomUUID();
  const readModel = await openReadModel(join(temporaryFolder(), 'read-model.db'), eventStore);
  const projector = new Projector({ eventStore, readModel, clock: () => new Date() });
  projector.start();
  await projector.caughtUp;
  const commands = new CommandHandler({
    eventStore,
    clock: () => new Date(),
    waitForReadModel: (position) => projector.waitFor(position),
  });
  const feed = new LiveEventFeed({
    eventStore,
    source: () => 'urn:keyturn',
    visible: (position) => projector.waitFor(position),
    heartbeatInterval: 1000,
  });
  await feed.start();
  const directory = readModel.queries;
  const policy = new TargetPolicy({ allowHttp: true, allowedNetworks: ['127.0.0.0/8'] });
  const masterKeys = new MasterKeys(new Uint8Array(32));
  const webhooks = new Webhooks({ commands, directory, masterKeys, policy });
  const sender = new WebhookSender({ policy, timeout: options.timeout ?? 1000 });
  const errors: unknown[] = [];
  const leases =
    options.leases ??
    new NodeLeases({
      nodeId,
      commands,
      feed,
      isNeeded: () => directory.webhooks().length > 0,
      beatInterval: options.beatInterval ?? 50,
      expiry: options.expiry ?? 500,
      onError: (error) => void errors.push(error),
    });
  const dispatcher = new WebhookDispatcher({
    nodeId,
    source: () => 'urn:keyturn',
    eventStore,
    feed,
    commands,
    webhooks,
    directory,
    sender,
    leases,
    takeoverInterval: 20,
    retry: { ...webhookRetryPolicy, firstDelay: 10, longestDelay: 50, longestOutageDelay: 50 },
    disableAfter: 3_600_000,
    saveInterval: 50,
    onError: (_webhookId, error) => void errors.push(error),
  });
  dispatcher.start();
  onTestFinished(async () => {
    await dispatcher.stop();
    await feed.stop();
    await projector.stop();
    await sender.close();
    readModel.close();
  });
  return { nodeId, commands, webhooks, dispatcher, directory, errors, projector, feed };
}
