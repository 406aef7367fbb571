import { describe, expect, it, test } from 'vitest';
import { type AdminCredentials, setUpInstance } from '../../src/application/instance-set-up.ts';
import { MasterKeys } from '../../src/application/master-keys.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { instance, instanceId, machineUser } from '../../src/domain/aggregates.ts';
import { exists } from '../../src/domain/machine-user/state.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { emptyStore, node } from '../support/application.ts';
import { withAppend } from '../support/faulty-event-store.ts';

const masterKeys = new MasterKeys(new Uint8Array(32));

async function setUp(store: EventStore, saved: AdminCredentials[]): Promise<boolean> {
  return setUpInstance({
    ...node(store),
    masterKeys,
    signingAlgorithm: 'ES256',
    saveAdminCredentials: async (credentials) => void saved.push(credentials),
    discardAdminCredentials: () => void saved.pop(),
    patience: 0,
  });
}

const typesIn = async (store: EventStore) =>
  (await Array.fromAsync(store.readAll())).map((event) => event.type);

test('a new store gets an instance, an organization, an admin with a secret, and a signing key', async () => {
  const store = emptyStore();
  const saved: AdminCredentials[] = [];
  expect(await setUp(store, saved)).toBe(true);
  expect(await typesIn(store)).toEqual([
    'InstanceSetUpStarted',
    'OrganizationAdded',
    'UserNameClaimed',
    'MachineUserAdded',
    'MachineSecretSet',
    'SigningKeyAdded',
    'InstanceMemberAdded',
    'InstanceSetUp',
  ]);
  expect(saved).toHaveLength(1);
});

test('a store that is set up is left alone, also when the admin has lost its secret and is locked', async () => {
  const store = emptyStore();
  await setUp(store, []);
  const { commands } = node(store);
  const { state } = await commands.load(instance, instanceId);
  if (state.status === 'absent') throw new Error('not set up');
  const { adminUserId: userId, organizationId } = state;
  const context = { editor: null, correlationId: 'c', causationId: 'c' };
  await commands.execute(machineUser, userId, { type: 'RemoveSecret', organizationId }, context);
  await commands.execute(machineUser, userId, { type: 'Lock', organizationId }, context);
  const before = await typesIn(store);
  const saved: AdminCredentials[] = [];
  expect(await setUp(store, saved)).toBe(false);
  expect(await typesIn(store)).toEqual(before);
  expect(saved).toEqual([]);
});

describe('a set-up that is cut off', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('at append %d is finished by the next start', async (cutAt) => {
    const store = emptyStore();
    const saved: AdminCredentials[] = [];
    let appends = 0;
    const cut = withAppend(store, async (append, ...args) => {
      if (++appends === cutAt) throw new Error('power cut');
      return append(...args);
    });
    await expect(setUp(cut, saved)).rejects.toThrow('power cut');
    expect(await setUp(store, saved)).toBe(true);

    const types = await typesIn(store);
    for (const once of ['InstanceSetUpStarted', 'OrganizationAdded', 'MachineUserAdded', 'SigningKeyAdded']) {
      expect([once, types.filter((type) => type === once).length]).toEqual([once, 1]);
    }
    const last = saved.at(-1);
    const { state } = await node(store).commands.load(machineUser, last?.userId ?? '');
    const [secret] = exists(state) ? state.secrets : [];
    expect(await bcryptHasher(4).verify(last?.clientSecret ?? '', secret?.hashedSecret ?? '')).toBe(true);
  });
});
