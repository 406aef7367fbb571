import { randomUUID } from 'node:crypto';
import { WrongExpectedRevisionError } from '../../src/eventstore/errors.ts';
import type {
  EventFilter,
  EventStore,
  ReadAllOptions,
  RecordedEvent,
  SubscribeOptions,
} from '../../src/eventstore/event-store.ts';

/**
 * An empty store for one test on a server that others use too: streams get a prefix that only this test knows, and the
 * log begins at its end of now. All calls still go to the server as they are.
 */
export async function emptyPartOf(store: EventStore): Promise<EventStore> {
  const prefix = `${randomUUID()}-`;
  const begin = await headOf(store);
  const own = (events: readonly RecordedEvent[]) =>
    events
      .filter((event) => event.stream.startsWith(prefix))
      .map((event) => ({ ...event, stream: event.stream.slice(prefix.length) }));
  // Without a name there is none to extend: the store refuses it.
  const named = (stream: string) => (stream === '' ? '' : prefix + stream);
  const filtered = (filter: EventFilter | undefined): { filter?: EventFilter } => {
    if (filter === undefined) return {};
    if ('typePrefixes' in filter) return { filter };
    return { filter: { streamPrefixes: filter.streamPrefixes.map((one) => prefix + one) } };
  };

  async function* readOwn(options: ReadAllOptions): AsyncGenerator<RecordedEvent> {
    for await (const event of store.readAll(options)) {
      if (event.position <= begin) return;
      yield* own([event]);
    }
  }

  async function* readAll({ limit, ...options }: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { direction = 'forwards', filter } = options;
    const start = direction === 'forwards' ? { after: begin, ...options } : options;
    let left = limit ?? Number.POSITIVE_INFINITY;
    for await (const event of readOwn({ ...start, ...filtered(filter) })) {
      if (left-- <= 0) return;
      yield event;
    }
  }

  return {
    async append(stream, events, expectedRevision) {
      try {
        return await store.append(named(stream), events, expectedRevision);
      } catch (error) {
        throw error instanceof WrongExpectedRevisionError
          ? new WrongExpectedRevisionError(stream, error.expected, error.actual)
          : error;
      }
    },
    async *readStream(stream, options) {
      for await (const event of store.readStream(named(stream), options)) yield* own([event]);
    },
    readAll,
    async *subscribe({ after = begin, filter, ...options }: SubscribeOptions = {}) {
      for await (const batch of store.subscribe({ ...options, after, ...filtered(filter) })) {
        yield { ...batch, events: own(batch.events) };
      }
    },
    close: () => store.close(),
  };
}

async function headOf(store: EventStore): Promise<bigint> {
  for await (const event of store.readAll({ direction: 'backwards', limit: 1 })) return event.position;
  return 0n;
}
