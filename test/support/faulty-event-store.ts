import type { EventStore, NewEvent } from '../../src/eventstore/event-store.ts';

type Append = EventStore['append'];

/** A store whose appends go through `intercept`, which may delay, change or fail them. All else is the real store's. */
export function withAppend(
  store: EventStore,
  intercept: (append: Append, ...args: Parameters<Append>) => ReturnType<Append>,
): EventStore {
  return {
    append: (...args) => intercept((...real) => store.append(...real), ...args),
    readStream: (...args) => store.readStream(...args),
    readAll: (...args) => store.readAll(...args),
    subscribe: (...args) => store.subscribe(...args),
    close: () => store.close(),
  };
}

export const idsOf = (events: readonly NewEvent[]) => events.map((event) => event.id);
