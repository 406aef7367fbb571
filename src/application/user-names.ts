import { machineUser, userName as userNameAggregate } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { exists } from '../domain/machine-user/state.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';

/**
 * How long a claim that its user does not use yet is left alone, in milliseconds. It only keeps users that are
 * being added at this moment from disturbing each other: uniqueness does not depend on it (see `#takeOver`).
 */
const unusedClaimGrace = 30_000;

/** Keeps user names unique in the instance. `docs/adr/0004-user-name-reservation.md` has the reasoning. */
export class UserNames {
  readonly #commands: CommandHandler;

  constructor(commands: CommandHandler) {
    this.#commands = commands;
  }

  /**
   * Makes `userId` the holder of the name.
   *
   * The caller must have loaded the user before it claims, and must then add or rename the user at exactly the
   * revision that it loaded; on a conflict it starts over with loading and claiming.
   *
   * @throws KeyturnError `USER_NAME_TAKEN`
   */
  async claim(userName: string, userId: string, context: CommandContext): Promise<void> {
    const name = normalizeUserName(userName);
    const { state, revision } = await this.#commands.load(userNameAggregate, name);
    if (state.status === 'claimed' && state.userId !== userId) {
      const age = this.#commands.now().getTime() - Date.parse(state.claimedAt);
      const unused = !(await this.#isUsed(name, state.userId)) && age > unusedClaimGrace;
      if (!unused) throw new KeyturnError('USER_NAME_TAKEN');
      await this.#takeOver(name, userId, state.userId, revision, context);
      return;
    }
    await this.#commands.execute(userNameAggregate, name, { type: 'ClaimUserName', userId }, context);
  }

  /** Where the name's stream stands: what {@link releaseAt} takes. */
  async revisionOf(userName: string): Promise<bigint | 'no_stream'> {
    return (await this.#commands.load(userNameAggregate, normalizeUserName(userName))).revision;
  }

  /** Makes the name free, if `userId` holds it. */
  async release(userName: string, userId: string, context: CommandContext): Promise<void> {
    const name = normalizeUserName(userName);
    await this.#commands.execute(userNameAggregate, name, { type: 'ReleaseUserName', userId }, context);
  }

  /**
   * Makes the name free, if `userId` holds it and has not claimed it again since `revision`.
   *
   * The caller must have read the revision before it stored that the user has another name: who renames the user back
   * claims later than that.
   */
  async releaseAt(
    revision: bigint | 'no_stream',
    userName: string,
    userId: string,
    context: CommandContext,
  ): Promise<void> {
    const name = normalizeUserName(userName);
    const release = { type: 'ReleaseUserName', userId } as const;
    try {
      await this.#commands.execute(userNameAggregate, name, release, context, revision);
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error;
    }
  }

  async #isUsed(name: string, userId: string): Promise<boolean> {
    const { state } = await this.#commands.load(machineUser, userId);
    return exists(state) && normalizeUserName(state.userName) === name;
  }

  /**
   * First an event in the holder's own stream moves its revision on, so that an addition or renaming of the
   * holder that is still under way conflicts and looks at the claim again. Only then the name changes hands, at the
   * revision that was read, so that a claim renewed meanwhile wins.
   */
  async #takeOver(
    name: string,
    userId: string,
    lapsedUserId: string,
    revision: bigint | 'no_stream',
    context: CommandContext,
  ): Promise<void> {
    const lapse = { type: 'LapseUserNameClaim', userName: name } as const;
    await this.#commands.execute(machineUser, lapsedUserId, lapse, context);
    await this.#commands.execute(
      userNameAggregate,
      name,
      { type: 'TakeOverUserName', userId, lapsedUserId },
      context,
      revision,
    );
  }
}
