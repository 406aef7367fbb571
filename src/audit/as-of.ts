import { isLive } from '../domain/machine-user/secrets.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import type { MachineUserStanding } from '../projections/machine-user-states.ts';
import { ReadModel } from '../projections/read-model.ts';
import { logBatches } from './log-batches.ts';
import { eventsOfMachineUser } from './machine-user-events.ts';

export interface AsOfOptions {
  readonly signal?: AbortSignal;
  /** Told how far the log has been read, in positions, of how far it has to be. */
  readonly onProgress?: (position: number, until: number) => void;
}

/** All machine users as they were after the event at `position`, in the order of their ids. Reads the log up to there. */
export async function* machineUsersAsOf(
  eventStore: EventStore,
  position: bigint,
  { signal, onProgress }: AsOfOptions = {},
): AsyncGenerator<MachineUserStanding> {
  const readModel = ReadModel.temporary();
  try {
    for await (const events of logBatches(eventStore, { until: position, ...(signal && { signal }) })) {
      readModel.apply(events);
      onProgress?.(Number(events.at(-1)?.position ?? 0n), Number(position));
    }
    yield* readModel.queries.machineUserStandings();
  } finally {
    readModel.close();
  }
}

/** One machine user as it was then; undefined when it did not exist. Reads the events about this user only. */
export async function machineUserAsOf(
  eventStore: EventStore,
  userId: string,
  position: bigint,
): Promise<MachineUserStanding | undefined> {
  const readModel = ReadModel.temporary();
  try {
    const events: RecordedEvent[] = [];
    for await (const event of eventsOfMachineUser(eventStore, userId)) {
      if (event.position > position) break;
      events.push(event);
    }
    readModel.apply(events);
    const [standing] = readModel.queries.machineUserStandings();
    return standing;
  } finally {
    readModel.close();
  }
}

/**
 * The user could sign in: it was active, and had a secret or a key whose time had not come.
 *
 * @param time RFC 3339; absent before the first event
 */
export function canSignIn({ state, secrets, keys }: MachineUserStanding, time: string | undefined): boolean {
  const moment = Date.parse(time ?? '');
  const hasLiveSecret = time !== undefined && secrets.some((secret) => isLive(secret, time));
  return (
    state === 'active' && (hasLiveSecret || keys.some(({ expiresAt }) => Date.parse(expiresAt) > moment))
  );
}
