import { EventOwners, userOf } from '../application/event-owners.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { type CloudEvent, toCloudEvent } from './cloud-event.ts';
import { isPublishedEventType, type PublishedEventType } from './published-events.ts';

/** An event of the log with what subscribers filter and order by. */
export class FeedEvent {
  readonly recorded: RecordedEvent;
  /** Undefined for an event that is not published. */
  readonly cloudEvent: CloudEvent | undefined;
  readonly organizationId: string | undefined;
  readonly userId: string | undefined;
  #json: string | undefined;

  constructor(recorded: RecordedEvent, organizationId: string | undefined, source: string) {
    this.recorded = recorded;
    this.organizationId = organizationId;
    this.userId = userOf(recorded);
    this.cloudEvent = toCloudEvent(recorded, { source, organizationId });
  }

  get position(): bigint {
    return this.recorded.position;
  }

  /** Events with the same key are delivered one after the other: those about one user, else those of one stream. */
  get orderingKey(): string {
    return this.userId ?? this.recorded.stream;
  }

  /** The CloudEvent as JSON, made once for all who send it. */
  get json(): string {
    this.#json ??= JSON.stringify(this.cloudEvent);
    return this.#json;
  }
}

/** Reads stored events as feed events. */
export class FeedEventReader {
  readonly #owners: EventOwners;
  readonly #source: () => string;

  constructor(eventStore: EventStore, source: () => string) {
    this.#owners = new EventOwners(eventStore);
    this.#source = source;
  }

  async read(recorded: RecordedEvent): Promise<FeedEvent> {
    return new FeedEvent(recorded, await this.#owners.organizationOf(recorded), this.#source());
  }
}

/** Which events a subscriber wants: those that fit all that is given. An empty list of types means every type. */
export interface EventSelection<Type extends PublishedEventType = PublishedEventType> {
  readonly types?: readonly Type[] | undefined;
  readonly organizationId?: string | undefined;
  /** Of the user that the event is about. */
  readonly userId?: string | undefined;
}

export function isSelected(event: FeedEvent, selection: EventSelection): boolean {
  return isTypeSelected(event.recorded.type, selection) && isSubjectSelected(event, selection);
}

/** A part of {@link isSelected}, for those who do not know the rest yet. */
export function isTypeSelected(type: string, { types = [] }: EventSelection): boolean {
  return isPublishedEventType(type) && (types.length === 0 || types.includes(type));
}

/** The other part. */
export function isSubjectSelected(
  subject: { readonly organizationId: string | undefined; readonly userId: string | undefined },
  { organizationId, userId }: EventSelection,
): boolean {
  return (
    (organizationId === undefined || subject.organizationId === organizationId) &&
    (userId === undefined || subject.userId === userId)
  );
}
