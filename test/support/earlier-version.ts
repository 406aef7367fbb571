import { setUpInstance } from '../../src/application/instance-set-up.ts';
import { MasterKeys } from '../../src/application/master-keys.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { context, node, TestClock } from './application.ts';
import type { Admin } from './running-service.ts';

/** An instance as Keyturn 0.1 wrote it: nothing is sealed, and user names are in the clear. With users of these names. */
export async function writeInTheClear(
  eventStore: EventStore,
  masterKey: Uint8Array,
  userNames: readonly string[],
): Promise<{ readonly admin: Admin; readonly userIds: readonly string[] }> {
  const { commands, machineUsers } = node(eventStore, new TestClock());
  let admin: Admin | undefined;
  await setUpInstance({
    commands,
    machineUsers,
    masterKeys: new MasterKeys(masterKey),
    signingAlgorithm: 'ES256',
    saveAdminCredentials: async (credentials) => {
      admin = credentials;
    },
    discardAdminCredentials: () => {},
    patience: 0,
  });
  if (admin === undefined) throw new Error('the instance was set up before');
  const { organizationId } = admin;
  const userIds: string[] = [];
  for (const userName of userNames) {
    const profile = {
      userName,
      name: `Name of ${userName}`,
      description: '',
      accessTokenType: 'bearer',
    } as const;
    const { userId } = await machineUsers.add({ organizationId, ...profile }, context);
    userIds.push(userId);
  }
  return { admin, userIds };
}
