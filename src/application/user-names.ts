import { machineUser, userName as userNameAggregate } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { UserNameState } from '../domain/user-name/decider.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import { PersonalFields } from './personal-fields.ts';

/**
 * How long a claim that its user does not use yet is left alone, in milliseconds. It only keeps users that are
 * being added at this moment from disturbing each other: uniqueness does not depend on it (see `#takeOver`).
 */
const unusedClaimGrace = 30_000;

/** The stream in which a name is reserved, and where that stands. */
export interface NameReservation {
  /** Of the stream: a hash of the name, or the name itself. */
  readonly id: string;
  readonly revision: bigint | 'no_stream';
}

/**
 * Keeps user names unique in the instance. `docs/adr/0004-user-name-reservation.md` has the reasoning, and
 * `docs/adr/0027-hashed-user-names.md` says how their streams are named.
 */
export class UserNames {
  readonly #commands: CommandHandler;
  readonly #personalFields: PersonalFields;

  constructor(commands: CommandHandler, personalFields = new PersonalFields()) {
    this.#commands = commands;
    this.#personalFields = personalFields;
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
    const { id, state, revision, isOutdated } = await this.#find(name);
    if (state.status === 'claimed' && state.userId !== userId) {
      const age = this.#commands.now().getTime() - Date.parse(state.claimedAt);
      const unused = !(await this.#isUsed(name, state.userId)) && age > unusedClaimGrace;
      if (!unused) throw new KeyturnError('USER_NAME_TAKEN');
      await this.#takeOver(name, { id, revision }, userId, state.userId, context);
      return;
    }
    const claim = { type: 'ClaimUserName', userId } as const;
    // If the plain name was released meanwhile, somebody else may have claimed its hash.
    await this.#commands.execute(userNameAggregate, id, claim, context, isOutdated ? revision : undefined);
  }

  /** Where the name's reservation stands: what {@link releaseAt} takes. */
  async reservationOf(userName: string): Promise<NameReservation> {
    return this.#find(normalizeUserName(userName));
  }

  /** Makes the name free, if `userId` holds it. */
  async release(userName: string, userId: string, context: CommandContext): Promise<void> {
    const { id } = await this.reservationOf(userName);
    await this.#commands.execute(userNameAggregate, id, { type: 'ReleaseUserName', userId }, context);
  }

  /**
   * Makes the name free, if `userId` holds it and has not claimed it again since.
   *
   * The caller must have read the reservation before it stored that the user has another name: who renames the user back
   * claims later than that.
   */
  async releaseAt({ id, revision }: NameReservation, userId: string, context: CommandContext): Promise<void> {
    const release = { type: 'ReleaseUserName', userId } as const;
    try {
      await this.#commands.execute(userNameAggregate, id, release, context, revision);
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error;
    }
  }

  /** A name that was claimed under itself, as earlier versions did, stays there until it is free. */
  async #find(name: string): Promise<NameReservation & { state: UserNameState; isOutdated: boolean }> {
    const plain = await this.#commands.load(userNameAggregate, name);
    const hash = await this.#personalFields.hashUserName(name);
    if (hash === undefined || plain.state.status === 'claimed') {
      return { id: name, ...plain, isOutdated: hash !== undefined };
    }
    return { id: hash, ...(await this.#commands.load(userNameAggregate, hash)), isOutdated: false };
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
    { id, revision }: NameReservation,
    userId: string,
    lapsedUserId: string,
    context: CommandContext,
  ): Promise<void> {
    const lapse = { type: 'LapseUserNameClaim', userName: name } as const;
    await this.#commands.execute(machineUser, lapsedUserId, lapse, context);
    await this.#commands.execute(
      userNameAggregate,
      id,
      { type: 'TakeOverUserName', userId, lapsedUserId },
      context,
      revision,
    );
  }
}
