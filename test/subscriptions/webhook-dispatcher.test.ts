import { expect, test, vi } from 'vitest';
import { node as nodeAggregate, streamOf, subscription } from '../../src/domain/aggregates.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { deliveryNode } from '../support/delivery-node.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { withAppend } from '../support/faulty-event-store.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';

async function receiverOfOne() {
  const store = emptyStore();
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const receiver = await webhookReceiver();
  const target = { url: receiver.url, types: ['MachineSecretSet'], userId: '', description: '' };
  return { store, receiver, target, added: { ...target, organizationId, after: undefined } };
}

test('a worker that fails is started again, and nothing is missing', async () => {
  const { store, receiver, added } = await receiverOfOne();
  let failures = 2;
  const failing = withAppend(store, async (append, stream, ...rest) => {
    if (stream.startsWith('subscription-') && failures-- > 0) throw new Error('the disk is full');
    return append(stream, ...rest);
  });
  const { webhooks, errors } = await deliveryNode(failing);
  await webhooks.add(added, context);
  await appendSecretsSet(store, 'one', 3);
  await eventually(() => expect(receiver.versions('one')).toEqual([2, 3, 4]));
  expect(errors).toEqual([new Error('the disk is full'), new Error('the disk is full')]);
});

test('a webhook that is turned off and on again goes on where it stopped, on the node that has it', async () => {
  const { store, receiver, target, added } = await receiverOfOne();
  const { webhooks } = await deliveryNode(store, { expiry: 60_000 });
  const { webhookId } = await webhooks.add(added, context);
  await appendSecretsSet(store, 'one', 1);
  await eventually(() => expect(receiver.versions('one')).toEqual([2]));
  const turn = (isEnabled: boolean) =>
    webhooks.change({ webhookId, organizationId }, { ...target, isEnabled }, context);
  await turn(false);
  await appendSecretsSet(store, 'one', 1);
  await turn(true);
  await appendSecretsSet(store, 'one', 1);
  await eventually(() => expect(receiver.versions('one')).toEqual([2, 3, 4]));
});

test('a node that starts takes nothing from one that it has not heard of yet', async () => {
  const { store, receiver, added } = await receiverOfOne();
  const before = await deliveryNode(store);
  const { webhookId } = await before.webhooks.add(added, context);
  await before.dispatcher.stop();
  // It says that it is alive before the other one is there to hear it, and not again.
  const holder = await deliveryNode(store, { expiry: 60_000, beatInterval: 30_000 });
  await appendSecretsSet(store, 'one', 1);
  await eventually(() => expect(receiver.versions('one')).toEqual([2]));

  const starting = await deliveryNode(store, { expiry: 60_000 });
  const beatsOf = (nodeId: string) => Array.fromAsync(store.readStream(streamOf(nodeAggregate, nodeId)));
  await eventually(async () => expect((await beatsOf(starting.nodeId)).length).toBeGreaterThan(1));
  const looks = vi.spyOn(starting.commands, 'load');
  await eventually(() => expect(looks.mock.calls.length).toBeGreaterThan(1));
  const { state } = await holder.commands.load(subscription, `webhook-${webhookId}`);
  expect(state.worker?.nodeId).toBe(holder.nodeId);
});

test('the last attempts are kept, and no more', async () => {
  const { store, added } = await receiverOfOne();
  const { webhooks, dispatcher } = await deliveryNode(store);
  const { webhookId } = await webhooks.add(added, context);
  const sent: string[] = [];
  for (let count = 0; count < 60; count++) sent.push((await dispatcher.test(webhookId)).eventId);
  expect(dispatcher.recentAttempts(webhookId).map(({ eventId }) => eventId)).toEqual(
    sent.toReversed().slice(0, 50),
  );
});
