import { AppendTooLargeError } from './errors.ts';
import { maxAppendBytes, type NewEvent } from './event-store.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface SerializedEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
}

/** What every adapter asks of an append before it touches the store. Throws as {@link EventStore.append} says. */
export function serializeNewEvents(stream: string, events: readonly NewEvent[]): readonly SerializedEvent[] {
  if (stream === '') throw new TypeError('a stream needs a name');
  if (events.length === 0) throw new TypeError('an append needs at least one event');
  let bytes = 0;
  const serialized = events.map(({ id, type, data, metadata }) => {
    if (!uuid.test(id)) throw new TypeError(`event id ${JSON.stringify(id)} is not a UUID`);
    if (type === '') throw new TypeError(`event ${id} has no type`);
    const event = {
      id: id.toLowerCase(),
      type,
      data: JSON.stringify(data),
      metadata: JSON.stringify(metadata),
    };
    bytes += Buffer.byteLength(event.data) + Buffer.byteLength(event.metadata) + 2 * type.length;
    return event;
  });
  if (new Set(serialized.map((event) => event.id)).size < serialized.length) {
    throw new TypeError('an append needs a different id for each event');
  }
  if (bytes > maxAppendBytes) throw new AppendTooLargeError(stream, maxAppendBytes);
  return serialized;
}
