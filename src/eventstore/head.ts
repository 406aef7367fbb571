import { UnreadableEventError } from './errors.ts';
import type { EventStore } from './event-store.ts';

/** The position of the last event of the log; 0 while there is none. */
export async function headOf(eventStore: EventStore): Promise<bigint> {
  try {
    for await (const event of eventStore.readAll({ direction: 'backwards', limit: 1 })) return event.position;
  } catch (error) {
    if (!(error instanceof UnreadableEventError)) throw error;
    return error.position;
  }
  return 0n;
}
