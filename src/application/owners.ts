import AsyncLock from 'async-lock';
import { instance, instanceId, machineUser, organization } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { ownersOf } from '../domain/instance/decider.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { CommandHandler } from './command-handler.ts';

interface Owner {
  readonly userId: string;
  readonly organizationId: string;
}

/**
 * Keeps an instance from losing the last of its owners who can act, for nobody could let one in again. The streams of all of them are
 * read, since no one stream knows. Changes on one node wait for each other; at the same moment on two nodes, they can
 * still take the last two.
 */
export class Owners {
  readonly #commands: CommandHandler;
  readonly #lock = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY });

  constructor(commands: CommandHandler) {
    this.#commands = commands;
  }

  /** @throws KeyturnError `LAST_OWNER` when the user is an owner, and no other owner can act */
  async unlessLast<Result>(userId: string, change: () => Promise<Result>): Promise<Result> {
    const { state } = await this.#commands.load(instance, instanceId);
    if (!ownersOf(state).includes(userId)) return change();
    return this.#whileOneStays((owner) => owner.userId !== userId, change);
  }

  /** @throws KeyturnError `LAST_OWNER` when no owner who can act is of another organization */
  unlessLastIn<Result>(organizationId: string, change: () => Promise<Result>): Promise<Result> {
    return this.#whileOneStays((owner) => owner.organizationId !== organizationId, change);
  }

  #whileOneStays<Result>(stays: (owner: Owner) => boolean, change: () => Promise<Result>): Promise<Result> {
    return this.#lock.acquire('owners', async () => {
      const acting = await this.#actingOwners();
      if (acting.length > 0 && !acting.some(stays)) throw new KeyturnError('LAST_OWNER');
      return change();
    });
  }

  async #actingOwners(): Promise<Owner[]> {
    const { state } = await this.#commands.load(instance, instanceId);
    const owners = await Promise.all(ownersOf(state).map((userId) => this.#actingUser(userId)));
    return owners.filter((owner) => owner !== undefined);
  }

  async #actingUser(userId: string): Promise<Owner | undefined> {
    const { state: user } = await this.#commands.load(machineUser, userId);
    if (!exists(user) || user.status !== 'active') return undefined;
    const { organizationId } = user;
    const { state: owner } = await this.#commands.load(organization, organizationId);
    return owner.status === 'active' ? { userId, organizationId } : undefined;
  }
}
