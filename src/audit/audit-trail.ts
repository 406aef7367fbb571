import { machineUser, streamOf } from '../domain/aggregates.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import type { MachineUserStanding } from '../projections/machine-user-states.ts';
import { canSignIn, machineUserAsOf } from './as-of.ts';
import { AuditError } from './audit-error.ts';
import { parseTime, resolveMoment } from './moment.ts';
import { type HistoryEntry, type HistoryQuery, userHistory } from './user-history.ts';

/** What the API tells auditors, from the log itself. */
export class AuditTrail {
  readonly #eventStore: EventStore;

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
  }

  readonly parseTime = parseTime;

  history(userId: string, query: HistoryQuery): AsyncIterable<HistoryEntry> {
    return userHistory(this.#eventStore, userId, query);
  }

  /** The organization that owns a machine user, also one that was removed; undefined for one that never was. */
  async ownerOf(userId: string): Promise<string | undefined> {
    for await (const { type, data } of this.#eventStore.readStream(streamOf(machineUser, userId))) {
      if (type === 'MachineUserAdded') return String(data['organizationId']);
    }
    return undefined;
  }

  /** `user` is undefined when it did not exist then. The answer is undefined for a moment that is none of this log. */
  async asOf(
    userId: string,
    text: string,
  ): Promise<{ position: bigint; user: MachineUserStanding | undefined; canSignIn: boolean } | undefined> {
    try {
      const { position, time } = await resolveMoment(this.#eventStore, text);
      const user = await machineUserAsOf(this.#eventStore, userId, position);
      return { position, user, canSignIn: user !== undefined && canSignIn(user, time) };
    } catch (error) {
      if (error instanceof AuditError) return undefined;
      throw error;
    }
  }
}
