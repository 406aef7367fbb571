/** A fact as a decider states it: what happened, without who caused it or where it is stored. */
export interface DomainEvent<Type extends string = string, Data extends object = object> {
  readonly type: Type;
  readonly data: Data;
}

/**
 * An event with the time at which it happened: RFC 3339 in UTC with milliseconds. Dates that the API shows
 * and rules about time use this, never a store's own timestamp, so every replay gives the same answer.
 */
export type Occurred<Event> = Event & { readonly occurredAt: string };

/** The decision function of one kind of aggregate. Pure: the same input always gives the same output. */
export interface Decider<Command, Event extends DomainEvent, State> {
  readonly initialState: State;
  /**
   * The events that `command` causes in `state`; none when it changes nothing. Throws a `KeyturnError` when a rule forbids it.
   *
   * @param now when it is decided, as `occurredAt` of the events will say
   */
  decide(command: Command, state: State, now: string): readonly Event[];
  evolve(state: State, event: Occurred<Event>): State;
}

export function fold<Command, Event extends DomainEvent, State>(
  decider: Decider<Command, Event, State>,
  events: Iterable<Occurred<Event>>,
  from: State = decider.initialState,
): State {
  let state = from;
  for (const event of events) state = decider.evolve(state, event);
  return state;
}
