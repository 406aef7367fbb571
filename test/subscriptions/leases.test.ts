import { expect, test } from 'vitest';
import { subscription } from '../../src/domain/aggregates.ts';
import { soleNode } from '../../src/subscriptions/webhooks/leases.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { cuttable, deliveryNode } from '../support/delivery-node.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

const target = {
  url: '',
  types: ['MachineSecretSet'],
  userId: '',
  description: '',
  organizationId,
  after: undefined,
};

async function withWebhook() {
  const store = emptyStore();
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const receiver = await webhookReceiver();
  return { store, receiver, target: { ...target, url: receiver.url } };
}

const upTo = (last: number) => Array.from({ length: last - 1 }, (_, index) => index + 2);

test('of several nodes one delivers to a webhook at a time', async () => {
  const { store, receiver, target } = await withWebhook();
  // So long that a busy machine does not keep a node from its beats.
  const expiry = 1500;
  const nodes = await Promise.all([1, 2, 3].map(() => deliveryNode(store, { expiry })));
  await nodes[0]?.webhooks.add(target, context);
  await appendSecretsSet(store, 'one', 30);
  await eventually(() => expect(receiver.received).toHaveLength(30));
  // Long enough for a lease without beats to end.
  await new Promise((resolve) => setTimeout(resolve, expiry + 500));
  await appendSecretsSet(store, 'one', 30);
  await eventually(() => expect(receiver.received).toHaveLength(60));
  expect(receiver.versions('one')).toEqual(upTo(61));
  const claims = (await Array.fromAsync(store.readAll())).filter(
    ({ type }) => type === 'SubscriptionClaimed',
  );
  expect(claims).toHaveLength(1);
});

test('a node that leaves in good order is followed by another one, without a repetition', async () => {
  const { store, receiver, target } = await withWebhook();
  // So long that it is not followed because it is taken for dead, also on a busy machine.
  const expiry = 60_000;
  const first = await deliveryNode(store, { expiry });
  await first.webhooks.add(target, context);
  await appendSecretsSet(store, 'one', 5);
  await eventually(() => expect(receiver.received).toHaveLength(5));
  await deliveryNode(store, { expiry });
  await first.dispatcher.stop();
  await appendSecretsSet(store, 'one', 5);
  await eventually(() => expect(receiver.received).toHaveLength(10));
  expect(receiver.versions('one')).toEqual(upTo(11));
});

test('a node that is cut off stops, and another one takes over within the expiry: nothing is missing', async () => {
  const { store, receiver, target } = await withWebhook();
  const machine = cuttable(store);
  const first = await deliveryNode(machine.store);
  const { webhookId } = await first.webhooks.add(target, context);
  await appendSecretsSet(store, 'one', 5);
  await eventually(() => expect(receiver.received).toHaveLength(5));
  const second = await deliveryNode(store);
  machine.cut();
  const cutAt = performance.now();
  await appendSecretsSet(store, 'one', 5);
  await eventually(() => expect(receiver.versions('one')).toContain(11), 5000);
  expect(performance.now() - cutAt).toBeLessThan(4000);
  expect([...new Set(receiver.versions('one'))]).toEqual(upTo(11));
  const { state } = await second.commands.load(subscription, `webhook-${webhookId}`);
  expect(state.worker?.nodeId).toBe(second.nodeId);
});

test('a node that was frozen cannot set the progress of its successor back', async () => {
  const { store, receiver, target } = await withWebhook();
  // It never doubts itself, and takes a webhook from whoever holds it.
  const stubborn = { ...soleNode };
  const first = await deliveryNode(store, { leases: stubborn });
  const { webhookId } = await first.webhooks.add(target, context);
  await appendSecretsSet(store, 'one', 3);
  await eventually(() => expect(receiver.received).toHaveLength(3));
  stubborn.isAlive = () => true;
  const second = await deliveryNode(store);
  await eventually(async () => {
    const { state } = await second.commands.load(subscription, `webhook-${webhookId}`);
    expect(state.worker?.nodeId).toBe(second.nodeId);
  }, 3000);
  await appendSecretsSet(store, 'one', 3);
  await eventually(() => expect(receiver.versions('one')).toContain(7));
  await eventually(async () => {
    const { state } = await second.commands.load(subscription, `webhook-${webhookId}`);
    expect([state.worker?.nodeId, Number(state.progress?.position)]).toEqual([
      second.nodeId,
      expect.any(Number),
    ]);
    const saves = (await Array.fromAsync(store.readStream(`subscription-webhook-${webhookId}`))).slice(-1);
    expect(saves[0]?.data).toMatchObject({ nodeId: second.nodeId, pending: [] });
  });
  expect([...new Set(receiver.versions('one'))]).toEqual(upTo(7));
});

test('what is under way when the lease ends is cut off: another node may deliver it by then', async () => {
  const { store, receiver, target } = await withWebhook();
  let validFor = 100;
  const first = await deliveryNode(store, {
    leases: { ...soleNode, validFor: () => validFor },
    timeout: 60_000,
  });
  const cutOff = Promise.withResolvers<void>();
  receiver.answerWith((_event, response) => {
    validFor = 0;
    response.once('close', cutOff.resolve);
  });
  const { webhookId } = await first.webhooks.add(target, context);
  await appendSecretsSet(store, 'one', 1);
  await cutOff.promise;
  // It was no attempt of the receiver's that failed.
  const { state } = await first.commands.load(subscription, `webhook-${webhookId}`);
  expect(state.progress?.failingSince).toBeUndefined();
});

test('nodes write nothing while there is no webhook', async () => {
  const store = emptyStore();
  await deliveryNode(store);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await Array.fromAsync(store.readAll())).toEqual([]);
});
