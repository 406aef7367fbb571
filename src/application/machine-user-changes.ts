import { machineUser, streamOf } from '../domain/aggregates.ts';
import { readStoredEvent } from '../domain/event-catalogue.ts';
import { type MachineUserEvent, machineUserEventSchemas } from '../domain/machine-user/events.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';

/** What happened to a machine user, when, and by whom. */
export interface MachineUserChange {
  readonly type: MachineUserEvent['type'];
  readonly sequence: bigint;
  readonly occurredAt: string;
  /** Undefined: Keyturn itself. */
  readonly editorId: string | undefined;
}

export interface MachineUserChangesQuery {
  readonly userId: string;
  readonly organizationId: string;
  /** Exclusive: only changes with a greater sequence. */
  readonly after: bigint;
  readonly ascending: boolean;
  readonly limit: number;
}

/** Lists what happened to machine users from their streams: a read model of it would hold every event a second time. */
export class MachineUserChanges {
  readonly #eventStore: EventStore;

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
  }

  /** Also those of a removed user. None for a user of another organization. */
  async list(query: MachineUserChangesQuery): Promise<MachineUserChange[]> {
    const { userId, organizationId, after, ascending, limit } = query;
    const stream = streamOf(machineUser, userId);
    if ((await this.#ownerOf(stream)) !== organizationId) return [];
    // The first revision is that of sequence 1.
    const events = ascending
      ? this.#eventStore.readStream(stream, { from: after, limit })
      : this.#eventStore.readStream(stream, { direction: 'backwards', limit });
    const changes: MachineUserChange[] = [];
    for await (const event of events) {
      if (event.revision < after) break;
      const change = changeOf(event);
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  async #ownerOf(stream: string): Promise<unknown> {
    // Not always the first one: a claim on a user name can lapse before the user is added.
    for await (const { type, data } of this.#eventStore.readStream(stream)) {
      if (type === 'MachineUserAdded') return data['organizationId'];
    }
    return undefined;
  }
}

function changeOf(recorded: RecordedEvent): MachineUserChange | undefined {
  const { type, occurredAt, editor } = readStoredEvent(recorded);
  if (!isOfMachineUser(type)) return undefined;
  return { type, sequence: recorded.revision + 1n, occurredAt, editorId: editor?.userId };
}

function isOfMachineUser(type: string): type is MachineUserEvent['type'] {
  return Object.hasOwn(machineUserEventSchemas, type);
}
