import { LRUCache } from 'lru-cache';
import { idOfStream } from '../domain/aggregates.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';

/** How many aggregates' organizations are kept: one that is not costs a read of its stream. */
const limit = 10_000;

export type OwnedEvent = Pick<RecordedEvent, 'stream' | 'data'>;

/**
 * Finds the organization that an event belongs to.
 *
 * Only the first events of a stream name it, and it never changes. The read model forgets users that were removed,
 * and in-process subscribers have none: so the stream is asked, and remembered.
 */
export class EventOwners {
  readonly #eventStore: EventStore;
  readonly #organizations = new LRUCache<string, string>({ maxSize: limit, sizeCalculation: () => 1 });

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
  }

  /**
   * Undefined for what belongs to the instance.
   *
   * @returns a promise only where a stream has to be asked: whoever reads a long log saves a wait for each event
   */
  organizationOf(event: OwnedEvent): string | undefined | Promise<string | undefined> {
    const { stream, data } = event;
    if (stream.startsWith('organization-')) return idOfStream(stream);
    const owned = ownedStreamOf(event);
    if (owned === undefined) return undefined;
    const named = owned === stream ? data['organizationId'] : undefined;
    if (typeof named !== 'string') return this.#organizations.get(owned) ?? this.#readFromStream(owned);
    this.#organizations.set(owned, named);
    return named;
  }

  /** Notes the owner that an event names, if it does: its stream need not be asked later. */
  learn(event: OwnedEvent): void {
    const { organizationId } = event.data;
    if (typeof organizationId !== 'string' || ownedStreamOf(event) !== event.stream) return;
    this.#organizations.set(event.stream, organizationId);
  }

  async #readFromStream(stream: string): Promise<string | undefined> {
    // Not always the first one: a claim on a user name can lapse before the user is added.
    for await (const { data } of this.#eventStore.readStream(stream)) {
      const { organizationId } = data;
      if (typeof organizationId !== 'string') continue;
      this.#organizations.set(stream, organizationId);
      return organizationId;
    }
    return undefined;
  }
}

/** The stream that names the organization of the event. */
function ownedStreamOf({ stream, data }: OwnedEvent): string | undefined {
  const isOwned = ['machineUser-', 'webhook-', 'secretPolicy-'].some((prefix) => stream.startsWith(prefix));
  if (isOwned) return stream;
  if (stream.startsWith('machineSecretUse-')) return `machineUser-${idOfStream(stream)}`;
  const isOfUser = stream.startsWith('accessToken-') || stream.startsWith('clientAssertion-');
  return isOfUser ? `machineUser-${data['userId']}` : undefined;
}

/** The user that an event is about; undefined for one that is about none. */
export function userOf({ stream, data }: OwnedEvent): string | undefined {
  if (stream.startsWith('machineUser-') || stream.startsWith('machineSecretUse-')) return idOfStream(stream);
  // What a webhook holds is whom it wants to hear of.
  if (stream.startsWith('webhook-')) return undefined;
  return typeof data['userId'] === 'string' ? data['userId'] : undefined;
}
