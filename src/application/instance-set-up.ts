import { instance, instanceId, machineUser, organization } from '../domain/aggregates.ts';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { MachineUsers } from './machine-users.ts';
import type { MasterKeys } from './master-keys.ts';
import { newObjectId } from './random-ids.ts';
import { generateSigningKey } from './signing-keys.ts';

/** What the operator of a new instance signs in with. */
export interface AdminCredentials {
  readonly organizationId: string;
  readonly userId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface InstanceSetUpOptions {
  readonly commands: CommandHandler;
  readonly machineUsers: MachineUsers;
  /** Encrypt the signing key. */
  readonly masterKeys: MasterKeys;
  readonly signingAlgorithm: SigningAlgorithm;
  /** Keeps the credentials where the operator finds them. */
  readonly saveAdminCredentials: (credentials: AdminCredentials) => Promise<void>;
}

const adminUserName = 'admin';

/**
 * Makes the instance, its organization, its signing key and the machine user `admin` with the role IAM_OWNER, unless
 * they are there. One that was cut off is finished: the first event names the ids of all that follows.
 *
 * @returns whether this call finished a set-up
 */
export async function setUpInstance(options: InstanceSetUpOptions): Promise<boolean> {
  const { commands, masterKeys, signingAlgorithm } = options;
  const correlationId = newObjectId();
  const context: CommandContext = { editor: null, correlationId, causationId: correlationId };

  let { state } = await commands.load(instance, instanceId);
  if (state.status === 'set up') return false;
  if (state.status === 'absent') {
    const plan = { projectId: newObjectId(), organizationId: newObjectId(), adminUserId: newObjectId() };
    ({ state } = await commands.execute(instance, instanceId, { type: 'StartSetUp', ...plan }, context));
  }
  if (state.status === 'absent') throw new Error('an instance that was just set up is absent');
  const { organizationId, adminUserId, signingKeys, members } = state;

  if ((await commands.load(organization, organizationId)).state.status === 'absent') {
    const add = { type: 'AddOrganization', name: 'Keyturn' } as const;
    await commands.execute(organization, organizationId, add, context);
  }
  await setUpAdmin(options, { organizationId, adminUserId }, context);
  if (signingKeys.length === 0) {
    const key = await generateSigningKey(signingAlgorithm, masterKeys);
    const addKey = { type: 'AddSigningKey', after: undefined, ...key } as const;
    await commands.execute(instance, instanceId, addKey, context);
  }
  if (!members.has(adminUserId)) {
    const addMember = { type: 'AddMember', userId: adminUserId, roles: ['IAM_OWNER'] } as const;
    await commands.execute(instance, instanceId, addMember, context);
  }
  await commands.execute(instance, instanceId, { type: 'CompleteSetUp' }, context);
  return true;
}

/** An admin whose set-up was cut off gets a new secret: whether the last one was saved is not known. */
async function setUpAdmin(
  { commands, machineUsers, saveAdminCredentials }: InstanceSetUpOptions,
  { organizationId, adminUserId: userId }: { organizationId: string; adminUserId: string },
  context: CommandContext,
): Promise<void> {
  if (!exists((await commands.load(machineUser, userId)).state)) {
    await machineUsers.add(
      {
        userId,
        organizationId,
        userName: adminUserName,
        name: 'Administrator',
        description: 'Made by the first start',
        accessTokenType: 'jwt',
      },
      context,
    );
  }
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  await saveAdminCredentials({ organizationId, userId, clientId: adminUserName, clientSecret });
}
