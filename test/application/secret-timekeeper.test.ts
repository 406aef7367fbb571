import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { CommandHandler } from '../../src/application/command-handler.ts';
import { MachineSecrets } from '../../src/application/machine-secrets.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { SecretTimekeeper } from '../../src/application/secret-timekeeper.ts';
import { organization } from '../../src/domain/aggregates.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { Projector } from '../../src/projections/projector.ts';
import { context, emptyStore, node, organizationId, robot, type TestClock } from '../support/application.ts';
import { openReadModel } from '../support/read-model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const day = 24 * 3600 * 1000;

/** What one node of several runs: a read model of its own, and a timekeeper. */
async function nodeOn(eventStore: EventStore, clock: TestClock) {
  const readModel = await openReadModel(join(temporaryFolder(), 'read-model.db'), eventStore, clock.read);
  const projector = new Projector({ eventStore, readModel, clock: clock.read });
  projector.start();
  onTestFinished(async () => {
    await projector.stop();
    readModel.close();
  });
  await projector.caughtUp;
  const waitForReadModel = (position: bigint) => projector.waitFor(position);
  const commands = new CommandHandler({ eventStore, clock: clock.read, waitForReadModel });
  return new SecretTimekeeper({
    machineSecrets: new MachineSecrets(commands, bcryptHasher(4)),
    directory: readModel.queries,
    clock: clock.read,
    announcedDays: [30, 7, 1],
    onFailure: (error) => {
      throw error;
    },
  });
}

/** A user with a secret that lives for 90 days, and one that another has replaced. */
async function expiring() {
  const eventStore = emptyStore();
  const { commands, machineUsers, clock } = node(eventStore);
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  const machineSecrets = new MachineSecrets(commands, bcryptHasher(4));
  const { userId } = await machineUsers.add(robot, context);
  const user = { userId, organizationId };
  await machineUsers.setSecret(user, context);
  const expiresAt = new Date(clock.now.getTime() + 90 * day).toISOString();
  await machineSecrets.add(user, { expiresAt, overlap: 3600 }, context);
  const times = async () =>
    (await Array.fromAsync(eventStore.readStream(`machineUser-${userId}`)))
      .slice(3)
      .map(({ type, data }) => [type, data['daysBefore'] ?? data['expiredAt'] ?? data['retiredAt']]);
  return { eventStore, clock, times, expiresAt, start: clock.now.getTime() };
}

it('states what time does, in time and once, on whichever of several nodes', async () => {
  const { eventStore, clock, times, expiresAt, start } = await expiring();
  const nodes = await Promise.all([nodeOn(eventStore, clock), nodeOn(eventStore, clock)]);
  for (let hour = 0; hour <= 91 * 24; hour += 12) {
    clock.now = new Date(start + hour * 3600 * 1000);
    await Promise.all(nodes.map((one) => one.keepUp()));
  }
  expect(await times()).toEqual([
    ['MachineSecretRetired', new Date(start + 3600 * 1000).toISOString()],
    ['MachineSecretExpiring', 30],
    ['MachineSecretExpiring', 7],
    ['MachineSecretExpiring', 1],
    ['MachineSecretExpired', expiresAt],
  ]);
});

it('makes up for an outage: with the most urgent announcement, or with the end alone', async () => {
  const { eventStore, clock, times, expiresAt, start } = await expiring();
  clock.now = new Date(start + 85 * day);
  await (await nodeOn(eventStore, clock)).keepUp();
  expect((await times()).at(-1)).toEqual(['MachineSecretExpiring', 7]);
  clock.now = new Date(start + 120 * day);
  await (await nodeOn(eventStore, clock)).keepUp();
  expect((await times()).at(-1)).toEqual(['MachineSecretExpired', expiresAt]);
  expect(await times()).toHaveLength(3);
});
