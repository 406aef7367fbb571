import { machineUser } from '../domain/aggregates.ts';
import { KeyturnError, SequenceMismatchError } from '../domain/errors.ts';
import { composeSecret } from '../domain/machine-secret.ts';
import type { MachineUserCommand, MachineUserUpdate } from '../domain/machine-user/decider.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { type ExistingMachineUser, exists, type MachineUserState } from '../domain/machine-user/state.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import {
  type CommandContext,
  type CommandHandler,
  type CommandOutcome,
  retryOnConflict,
} from './command-handler.ts';
import type { Owners } from './owners.ts';
import type { PersonalFields } from './personal-fields.ts';
import { newObjectId, newSecretId, newSecretRandom } from './random-ids.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { SecretPolicies } from './secret-policies.ts';
import { UserNames } from './user-names.ts';

export interface MachineUserProfile {
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
}

export interface NewMachineUser extends MachineUserProfile {
  /** Made when it is not given. */
  readonly userId?: string;
  readonly organizationId: string;
  /** Default: the user id. */
  readonly userName?: string;
}

/** A machine user, by its id in the organization that a request acts in. */
export interface MachineUserReference {
  readonly userId: string;
  readonly organizationId: string;
}

/** What a change did, as `zitadel.v1.ObjectDetails` tells it. */
export interface ChangeDetails {
  /** The stream version after the change. */
  readonly sequence: bigint;
  /** RFC 3339: when what the details are of was created. */
  readonly creationDate: string;
  /** RFC 3339: when the change was made. */
  readonly changeDate: string;
  /** Id of the organization that owns the user. */
  readonly resourceOwner: string;
}

export interface SecretChangeOptions {
  /** Ends the user's access tokens that are alive; else they outlive its secret. */
  readonly endTokens?: boolean;
  /** The stream version that the user must be at. */
  readonly expectedSequence?: bigint | undefined;
}

/** The use cases of machine users. */
export class MachineUsers {
  readonly #commands: CommandHandler;
  readonly #hasher: SecretHasher;
  readonly #userNames: UserNames;
  readonly #policies: SecretPolicies;
  readonly #owners: Owners;

  /**
   * @param owners the same as of all who may take one away
   * @param personalFields default: user names are stored as they are
   */
  constructor(
    commands: CommandHandler,
    hasher: SecretHasher,
    owners: Owners,
    personalFields?: PersonalFields,
  ) {
    this.#commands = commands;
    this.#hasher = hasher;
    this.#userNames = new UserNames(commands, personalFields);
    this.#policies = new SecretPolicies(commands);
    this.#owners = owners;
  }

  /** @throws KeyturnError `USER_NAME_TAKEN`, `USER_ALREADY_EXISTS`, or the rule that the user's fields break */
  async add(
    newUser: NewMachineUser,
    context: CommandContext,
  ): Promise<{ userId: string; details: ChangeDetails }> {
    const { userId = newObjectId() } = newUser;
    const { userName = userId } = newUser;
    const command = { ...newUser, type: 'AddMachineUser', userName } as const;
    const outcome = await retryOnConflict(async () => {
      const { state, revision } = await this.#commands.load(machineUser, userId);
      // Refused before the name is claimed, so that nothing has to be taken back.
      machineUser.decider.decide(command, state, this.#commands.now().toISOString());
      await this.#userNames.claim(userName, userId, context);
      return this.#commands.execute(machineUser, userId, command, context, revision);
    });
    return { userId, details: detailsOfCreation(outcome, newUser.organizationId) };
  }

  /** Replaces the profile. Throws KeyturnError `USER_NOT_FOUND`, `USER_DISPLAY_NAME_EMPTY`, `USER_NOT_CHANGED`. */
  async change(
    { userId, organizationId }: MachineUserReference,
    profile: MachineUserProfile,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const command = { ...profile, type: 'ChangeMachineUser', organizationId } as const;
    return detailsOfChange(await this.#commands.execute(machineUser, userId, command, context));
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `USER_NAME_EMPTY`, `USER_NAME_NOT_CHANGED`, `USER_NAME_TAKEN` */
  changeUserName(
    { userId, organizationId }: MachineUserReference,
    userName: string,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    return this.#rename(userId, { type: 'ChangeUserName', organizationId, userName }, userName, context);
  }

  /**
   * Changes what is given and differs, all at once or not at all.
   *
   * @throws KeyturnError `USER_NOT_FOUND`, `USER_NAME_EMPTY`, `USER_DISPLAY_NAME_EMPTY`, `USER_NAME_TAKEN`
   */
  async update(
    { userId, organizationId }: MachineUserReference,
    update: MachineUserUpdate,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const command = { ...update, type: 'UpdateMachineUser', organizationId } as const;
    if (update.userName !== undefined) return this.#rename(userId, command, update.userName, context);
    return detailsOfChange(await this.#commands.execute(machineUser, userId, command, context));
  }

  /** Claims the new name, runs the command at the revision before the claim, and releases the old name. */
  async #rename(
    userId: string,
    command: MachineUserCommand,
    userName: string,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const { outcome, oldName, reservation } = await retryOnConflict(async () => {
      const { state, revision } = await this.#commands.load(machineUser, userId);
      // Refused before the name is claimed, so that nothing has to be taken back.
      const decided = machineUser.decider.decide(command, state, this.#commands.now().toISOString());
      const oldName = requireExisting(state).userName;
      const reservation = await this.#userNames.reservationOf(oldName);
      if (decided.some(({ type }) => type === 'MachineUserNameChanged')) {
        await this.#userNames.claim(userName, userId, context);
      }
      const outcome = await this.#commands.execute(machineUser, userId, command, context, revision);
      return { outcome, oldName, reservation };
    });
    if (normalizeUserName(oldName) !== normalizeUserName(userName)) {
      await this.#userNames.releaseAt(reservation, userId, context);
    }
    return detailsOfChange(outcome);
  }

  /**
   * Gives the user a new secret, which replaces those that it has: at once, unless the policy lets them live on for a while.
   * The plain secret is in the answer and nowhere else.
   *
   * @throws KeyturnError `USER_NOT_FOUND`
   * @throws SequenceMismatchError the user is not at the expected sequence
   */
  async setSecret(
    user: MachineUserReference,
    context: CommandContext,
    { endTokens = false, expectedSequence }: SecretChangeOptions = {},
  ): Promise<{ clientSecret: string; details: ChangeDetails }> {
    const secretId = newSecretId();
    const clientSecret = composeSecret(secretId, newSecretRandom());
    const [hashedSecret, policy] = await Promise.all([
      this.#hasher.hash(clientSecret),
      this.#policies.effectiveFor(user),
    ]);
    const { organizationId } = user;
    const command = { type: 'SetSecret', organizationId, secretId, hashedSecret, policy, endTokens } as const;
    const outcome = await this.#executeAt(expectedSequence, user, command, context);
    return { clientSecret, details: detailsOfCreation(outcome, organizationId) };
  }

  /**
   * @throws KeyturnError `USER_NOT_FOUND`, `SECRET_NOT_EXISTING`
   * @throws SequenceMismatchError the user is not at the expected sequence
   */
  async removeSecret(
    user: MachineUserReference,
    context: CommandContext,
    { endTokens = false, expectedSequence }: SecretChangeOptions = {},
  ): Promise<ChangeDetails> {
    const command = { type: 'RemoveSecret', organizationId: user.organizationId, endTokens } as const;
    return detailsOfChange(await this.#executeAt(expectedSequence, user, command, context));
  }

  /**
   * Ends all access tokens of the user that are alive. Its secrets go on.
   *
   * @throws KeyturnError `USER_NOT_FOUND`
   */
  endTokens(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#changeState('EndTokens', user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `LAST_OWNER`, `USER_ALREADY_INACTIVE` */
  deactivate(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#shutOut('Deactivate', user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `USER_NOT_INACTIVE` */
  reactivate(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#changeState('Reactivate', user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `LAST_OWNER`, `USER_NOT_ACTIVE` */
  lock(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#shutOut('Lock', user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `USER_NOT_LOCKED` */
  unlock(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#changeState('Unlock', user, context);
  }

  /** Does not end its memberships: see `removeMachineUser`. Throws KeyturnError `USER_NOT_FOUND`. */
  async remove(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    const { userId, organizationId } = user;
    const { userName, addedAt } = await this.requireUser(user);
    const command = { type: 'Remove', organizationId } as const;
    const { streamVersion, occurredAt } = await this.#commands.execute(machineUser, userId, command, context);
    await this.#userNames.release(userName, userId, context);
    return {
      sequence: streamVersion,
      creationDate: addedAt,
      changeDate: occurredAt,
      resourceOwner: organizationId,
    };
  }

  /** The user as its events say. Throws KeyturnError `USER_NOT_FOUND`. */
  async requireUser({ userId, organizationId }: MachineUserReference): Promise<ExistingMachineUser> {
    const user = requireExisting((await this.#commands.load(machineUser, userId)).state);
    if (user.organizationId !== organizationId) throw new KeyturnError('USER_NOT_FOUND');
    return user;
  }

  async #shutOut(
    type: 'Deactivate' | 'Lock',
    user: MachineUserReference,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    await this.requireUser(user);
    return this.#owners.unlessLast(user.userId, () => this.#changeState(type, user, context));
  }

  async #changeState(
    type: 'EndTokens' | 'Deactivate' | 'Reactivate' | 'Lock' | 'Unlock',
    { userId, organizationId }: MachineUserReference,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const command = { type, organizationId };
    return detailsOfChange(await this.#commands.execute(machineUser, userId, command, context));
  }

  async #executeAt(
    expectedSequence: bigint | undefined,
    user: MachineUserReference,
    command: MachineUserCommand,
    context: CommandContext,
  ): Promise<CommandOutcome<MachineUserState>> {
    const { userId } = user;
    if (expectedSequence === undefined) {
      return this.#commands.execute(machineUser, userId, command, context);
    }
    // First: who may not see the user must not learn its sequence.
    await this.requireUser(user);
    try {
      return await this.#commands.execute(machineUser, userId, command, context, expectedSequence - 1n);
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error;
      const sequence = error.actual === 'no_stream' ? 0n : error.actual + 1n;
      throw new SequenceMismatchError(expectedSequence, sequence);
    }
  }
}

function detailsOfCreation(outcome: CommandOutcome<MachineUserState>, organizationId: string): ChangeDetails {
  return {
    sequence: outcome.streamVersion,
    creationDate: outcome.occurredAt,
    changeDate: outcome.occurredAt,
    resourceOwner: organizationId,
  };
}

export function detailsOfChange(outcome: CommandOutcome<MachineUserState>): ChangeDetails {
  const { addedAt, organizationId } = requireExisting(outcome.state);
  return {
    sequence: outcome.streamVersion,
    creationDate: addedAt,
    changeDate: outcome.occurredAt,
    resourceOwner: organizationId,
  };
}

function requireExisting(state: MachineUserState): ExistingMachineUser {
  if (!exists(state)) throw new KeyturnError('USER_NOT_FOUND');
  return state;
}
