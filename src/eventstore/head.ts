import type { EventStore } from './event-store.ts';

/** The position of the last event of the log; 0 while there is none. */
export async function headOf(eventStore: EventStore): Promise<bigint> {
  for await (const event of eventStore.readAll({ direction: 'backwards', limit: 1 })) return event.position;
  return 0n;
}
