import { machineUser, streamOf } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import type { RemovedMachineUser } from '../domain/machine-user/state.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { MachineUserReference } from './machine-users.ts';
import { hasPersonalFields, isSealed, type PersonalFields } from './personal-fields.ts';

/** How many keys are asked for at the same time. */
const usersAtOnce = 64;

interface ErasedUser {
  readonly userId: string;
  readonly erasedAt: string;
}

export interface ErasuresOptions {
  /** As it is stored. */
  readonly eventStore: EventStore;
  readonly commands: CommandHandler;
  readonly personalFields: PersonalFields;
  readonly directory: { erasedUsers(): Iterable<ErasedUser> };
  /** Forgets texts that were made before, and overwrites what the read model has deleted. */
  readonly dropTraces: () => void;
}

export interface Erasure {
  /** The stream version of the user after it. */
  readonly sequence: bigint;
  /** RFC 3339: of the first erasure of the user. */
  readonly erasedAt: string;
  /** How many events hold personal fields of the user in the clear, and will for ever: an earlier version wrote them. */
  readonly eventsInTheClear: number;
  /** The key's bytes, encrypted, stay on disks until the store is scavenged. */
  readonly needsScavenge: boolean;
}

/** Makes the personal fields of removed users unreadable. `docs/adr/0026-erasure.md` has the reasoning. */
export class Erasures {
  readonly #options: ErasuresOptions;

  constructor(options: ErasuresOptions) {
    this.#options = options;
  }

  /**
   * First the event, then the key: a crash between the two is mended by {@link complete}. Erasing again changes nothing.
   *
   * @throws KeyturnError `USER_NOT_FOUND`, `USER_NOT_REMOVED`, `USER_NOT_SEALED`
   */
  async erase({ userId, organizationId }: MachineUserReference, context: CommandContext): Promise<Erasure> {
    const { commands, personalFields, dropTraces } = this.#options;
    const command = { type: 'Erase', organizationId } as const;
    const { state } = await commands.load(machineUser, userId);
    machineUser.decider.decide(command, state, commands.now().toISOString());
    if ((await personalFields.stateOf(userId)) === 'none') throw new KeyturnError('USER_NOT_SEALED');
    const outcome = await commands.execute(machineUser, userId, command, context);
    const { erasedAt = outcome.occurredAt } = outcome.state as RemovedMachineUser;
    await personalFields.erase(userId, erasedAt);
    dropTraces();
    const eventsInTheClear = await this.#countEventsInTheClear(userId);
    const { needsScavenge } = personalFields;
    return { sequence: outcome.streamVersion, erasedAt, eventsInTheClear, needsScavenge };
  }

  /** Destroys the keys of all users that the log calls erased: a crash, or a backup that was restored, may have left some. */
  async complete(): Promise<void> {
    const { directory, personalFields } = this.#options;
    const complete = async ({ userId, erasedAt }: ErasedUser) => {
      if (await personalFields.hasKey(userId)) await personalFields.erase(userId, erasedAt);
    };
    const left = [...directory.erasedUsers()];
    while (left.length > 0) await Promise.all(left.splice(0, usersAtOnce).map(complete));
  }

  async #countEventsInTheClear(userId: string): Promise<number> {
    let count = 0;
    for await (const event of this.#options.eventStore.readStream(streamOf(machineUser, userId))) {
      if (hasPersonalFields(event) && !isSealed(event)) count++;
    }
    return count;
  }
}
