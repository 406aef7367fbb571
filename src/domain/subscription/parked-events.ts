import { z } from 'zod';
import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

const id = z.string().min(1);
const eventReference = { eventId: id, stream: id, revision: z.string().regex(/^\d+$/) };

/** Events that a subscriber could not take, until someone asks for them again. */
export const parkedEventSchemas = {
  EventParked: {
    version: 1,
    data: z.strictObject({
      ...eventReference,
      attempts: z.int().min(1),
      /** Why the last attempt failed. */
      reason: z.string(),
    }),
  },
  ParkedEventReplayed: { version: 1, data: z.strictObject(eventReference) },
} as const satisfies EventSchemas;

export type ParkedEventsEvent = EventsOf<typeof parkedEventSchemas>;
type ParkedData = z.output<(typeof parkedEventSchemas)['EventParked']['data']>;

export interface ParkedEvent extends ParkedData {
  /** RFC 3339. */
  readonly parkedAt: string;
}

/** By event id, those that were parked first coming first. */
export type ParkedEventsState = ReadonlyMap<string, ParkedEvent>;

export type ParkedEventsCommand =
  | ({ readonly type: 'ParkEvent' } & ParkedData)
  | { readonly type: 'ReplayParkedEvent'; readonly eventId: string };

export const parkedEventsDecider: Decider<ParkedEventsCommand, ParkedEventsEvent, ParkedEventsState> = {
  initialState: new Map(),

  decide(command, state) {
    if (command.type === 'ParkEvent') {
      const { type: _, ...data } = command;
      // A worker that crashed after parking tries once more, and parks again.
      return state.has(command.eventId) ? [] : [{ type: 'EventParked', data }];
    }
    const parked = state.get(command.eventId);
    if (parked === undefined) throw new KeyturnError('PARKED_EVENT_NOT_FOUND');
    const { eventId, stream, revision } = parked;
    return [{ type: 'ParkedEventReplayed', data: { eventId, stream, revision } }];
  },

  evolve(state, event) {
    const next = new Map(state);
    if (event.type === 'EventParked')
      next.set(event.data.eventId, { ...event.data, parkedAt: event.occurredAt });
    else next.delete(event.data.eventId);
    return next;
  },
};
