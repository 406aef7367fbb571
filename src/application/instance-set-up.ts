import { setTimeout as sleep } from 'node:timers/promises';
import { instance, instanceId, machineUser, organization } from '../domain/aggregates.ts';
import { type ErrorCode, KeyturnError } from '../domain/errors.ts';
import type { InstanceState } from '../domain/instance/decider.ts';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';
import { secretIdOf } from '../domain/machine-secret.ts';
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
  /** Undoes that, where another node's credentials came after. */
  readonly discardAdminCredentials: () => void;
  /**
   * In milliseconds: how long another node that has begun the set-up may take to finish it, before it counts as cut
   * off. 0 where there are no other nodes.
   */
  readonly patience: number;
}

/** In milliseconds: how often it is looked whether another node has finished. */
const pollInterval = 100;

const adminUserName = 'admin';

/**
 * Makes the instance, its organization, its signing key and the machine user `admin` with the role IAM_OWNER, unless
 * they are there. One that was cut off is finished: the first event names the ids of all that follows. Where several nodes
 * start at once, the one that wrote the first event sets up, and the others wait for it.
 *
 * @returns whether this call finished a set-up, and the admin's credentials are those that it saved
 */
export async function setUpInstance(options: InstanceSetUpOptions): Promise<boolean> {
  const { commands, masterKeys, signingAlgorithm, discardAdminCredentials } = options;
  const correlationId = newObjectId();
  const context: CommandContext = { editor: null, correlationId, causationId: correlationId };

  const state = await begin(options, context);
  if (state.status !== 'starting') return false;
  const { organizationId, adminUserId, signingKeys } = state;

  const add = { type: 'AddOrganization', name: 'Keyturn' } as const;
  await unless('ORGANIZATION_ALREADY_EXISTS', () =>
    commands.execute(organization, organizationId, add, context),
  );
  const adminSecretId = await setUpAdmin(options, { organizationId, adminUserId }, context);
  if (signingKeys.length === 0) {
    const key = await generateSigningKey(signingAlgorithm, masterKeys);
    const addKey = { type: 'AddSigningKey', after: undefined, ...key } as const;
    await commands.execute(instance, instanceId, addKey, context);
  }
  const addMember = { type: 'AddMember', userId: adminUserId, roles: ['IAM_OWNER'] } as const;
  await unless('MEMBER_ALREADY_EXISTS', () => commands.execute(instance, instanceId, addMember, context));
  await commands.execute(instance, instanceId, { type: 'CompleteSetUp' }, context);

  const admin = (await commands.load(machineUser, adminUserId)).state;
  if (exists(admin) && admin.secrets.some(({ secretId }) => secretId === adminSecretId)) return true;
  discardAdminCredentials();
  return false;
}

/** The state to go on from: `starting` where this call is to finish the set-up. */
async function begin(
  { commands, patience }: InstanceSetUpOptions,
  context: CommandContext,
): Promise<InstanceState> {
  const { state } = await commands.load(instance, instanceId);
  if (state.status === 'set up') return state;
  if (state.status === 'absent') {
    const plan = { projectId: newObjectId(), organizationId: newObjectId(), adminUserId: newObjectId() };
    const started = await unless('INSTANCE_ALREADY_SET_UP', () =>
      commands.execute(instance, instanceId, { type: 'StartSetUp', ...plan }, context),
    );
    if (started !== undefined) return started.state;
  }
  const deadline = performance.now() + patience;
  for (;;) {
    const { state: now } = await commands.load(instance, instanceId);
    if (now.status !== 'starting' || performance.now() >= deadline) return now;
    await sleep(pollInterval);
  }
}

/** Undefined where what is to be made was there already. */
async function unless<Result>(
  alreadyThere: ErrorCode,
  make: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof KeyturnError && error.code === alreadyThere) return undefined;
    throw error;
  }
}

/**
 * An admin whose set-up was cut off gets a new secret: whether the last one was saved is not known.
 *
 * @returns id of the secret
 */
async function setUpAdmin(
  { machineUsers, saveAdminCredentials }: InstanceSetUpOptions,
  { organizationId, adminUserId: userId }: { organizationId: string; adminUserId: string },
  context: CommandContext,
): Promise<string | undefined> {
  await unless('USER_ALREADY_EXISTS', () =>
    machineUsers.add(
      {
        userId,
        organizationId,
        userName: adminUserName,
        name: 'Administrator',
        description: 'Made by the first start',
        accessTokenType: 'jwt',
      },
      context,
    ),
  );
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  await saveAdminCredentials({ organizationId, userId, clientId: adminUserName, clientSecret });
  return secretIdOf(clientSecret);
}
