import { expect } from 'vitest';
import { type Decider, type DomainEvent, fold, type Occurred } from '../../src/domain/decider.ts';
import { type ErrorCode, KeyturnError } from '../../src/domain/errors.ts';

/** The time at which every given event happened. */
export const givenTime = '2026-01-02T03:04:05.678Z';

export function occurred<Event extends DomainEvent>(event: Event, occurredAt = givenTime): Occurred<Event> {
  return { ...event, occurredAt };
}

/** Given events, when a command, then events or an error: the form of every test of a domain rule. */
export function specification<Command, Event extends DomainEvent, State>(
  decider: Decider<Command, Event, State>,
) {
  return {
    given(...events: Event[]) {
      const state = fold(
        decider,
        events.map((event) => occurred(event)),
      );
      return {
        when(command: Command) {
          return {
            thenEvents(...expected: Event[]) {
              expect(decider.decide(command, state, givenTime)).toEqual(expected);
            },
            thenError(code: ErrorCode) {
              const decide = () => decider.decide(command, state, givenTime);
              expect(decide).toThrow(KeyturnError);
              expect(decide).toThrow(expect.objectContaining({ code }));
            },
          };
        },
        thenState(expected: State) {
          expect(state).toEqual(expected);
        },
      };
    },
  };
}
