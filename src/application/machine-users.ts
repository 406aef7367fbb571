import { machineUser } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { composeSecret } from '../domain/machine-secret.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import type { ExistingMachineUser, MachineUserState } from '../domain/machine-user/state.ts';
import {
  type CommandContext,
  type CommandHandler,
  type CommandOutcome,
  retryOnConflict,
} from './command-handler.ts';
import { newObjectId, newSecretId, newSecretRandom } from './random-ids.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { UserNames } from './user-names.ts';

export interface NewMachineUser {
  /** Made when it is not given. */
  readonly userId?: string;
  readonly organizationId: string;
  readonly userName: string;
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
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

/** What becomes of the user's access tokens that are alive: they outlive its secret, unless `endTokens` is true. */
export interface EndTokensChoice {
  readonly endTokens?: boolean;
}

type SimpleChange =
  | { readonly type: 'RemoveSecret'; readonly endTokens: boolean }
  | { readonly type: 'EndTokens' | 'Deactivate' | 'Reactivate' };

/** The use cases of machine users. */
export class MachineUsers {
  readonly #commands: CommandHandler;
  readonly #hasher: SecretHasher;
  readonly #userNames: UserNames;

  constructor(commands: CommandHandler, hasher: SecretHasher) {
    this.#commands = commands;
    this.#hasher = hasher;
    this.#userNames = new UserNames(commands);
  }

  /** @throws KeyturnError `USER_NAME_TAKEN`, `USER_ALREADY_EXISTS`, or the rule that the user's fields break */
  async add(
    newUser: NewMachineUser,
    context: CommandContext,
  ): Promise<{ userId: string; details: ChangeDetails }> {
    const { userId = newObjectId(), userName } = newUser;
    const command = { ...newUser, type: 'AddMachineUser' } as const;
    const outcome = await retryOnConflict(async () => {
      const { state, revision } = await this.#commands.load(machineUser, userId);
      // Refused before the name is claimed, so that nothing has to be taken back.
      machineUser.decider.decide(command, state);
      await this.#userNames.claim(userName, userId, context);
      return this.#commands.execute(machineUser, userId, command, context, revision);
    });
    return { userId, details: detailsOfCreation(outcome, newUser.organizationId) };
  }

  /**
   * Gives the user a new secret, which replaces the one that it has. The plain secret is in the answer and nowhere else.
   *
   * @throws KeyturnError `USER_NOT_FOUND`
   */
  async setSecret(
    { userId, organizationId }: MachineUserReference,
    context: CommandContext,
    { endTokens = false }: EndTokensChoice = {},
  ): Promise<{ clientSecret: string; details: ChangeDetails }> {
    const secretId = newSecretId();
    const clientSecret = composeSecret(secretId, newSecretRandom());
    const hashedSecret = await this.#hasher.hash(clientSecret);
    const outcome = await this.#commands.execute(
      machineUser,
      userId,
      { type: 'SetSecret', organizationId, secretId, hashedSecret, endTokens },
      context,
    );
    return { clientSecret, details: detailsOfCreation(outcome, organizationId) };
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `SECRET_NOT_EXISTING` */
  removeSecret(
    user: MachineUserReference,
    context: CommandContext,
    { endTokens = false }: EndTokensChoice = {},
  ): Promise<ChangeDetails> {
    return this.#change({ type: 'RemoveSecret', endTokens }, user, context);
  }

  /**
   * Ends all access tokens of the user that are alive. Its secrets go on.
   *
   * @throws KeyturnError `USER_NOT_FOUND`
   */
  endTokens(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#change({ type: 'EndTokens' }, user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `USER_ALREADY_INACTIVE` */
  deactivate(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#change({ type: 'Deactivate' }, user, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `USER_NOT_INACTIVE` */
  reactivate(user: MachineUserReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#change({ type: 'Reactivate' }, user, context);
  }

  async #change(
    command: SimpleChange,
    { userId, organizationId }: MachineUserReference,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const outcome = await this.#commands.execute(
      machineUser,
      userId,
      { ...command, organizationId },
      context,
    );
    return {
      sequence: outcome.streamVersion,
      creationDate: requireExisting(outcome.state).addedAt,
      changeDate: outcome.occurredAt,
      resourceOwner: organizationId,
    };
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

function requireExisting(state: MachineUserState): ExistingMachineUser {
  if (state.status === 'absent' || state.status === 'removed') throw new KeyturnError('USER_NOT_FOUND');
  return state;
}
