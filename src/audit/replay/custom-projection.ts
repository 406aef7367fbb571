import { type KeyturnEvent, readStoredEvent } from '../../domain/event-catalogue.ts';
import type { EventStore, RecordedEvent } from '../../eventstore/event-store.ts';
import { AuditError } from '../audit-error.ts';
import { type LogRange, logBatches } from '../log-batches.ts';

/** An event as a projection of one's own sees it: in the version of today, with where and when it happened. */
export type ReplayedEvent = KeyturnEvent & {
  /** RFC 3339 in UTC. */
  readonly occurredAt: string;
  readonly stream: string;
  readonly revision: bigint;
  readonly position: bigint;
  readonly id: string;
  /** `docs/events.md` describes it. */
  readonly metadata: RecordedEvent['metadata'];
};

/** A fold over the whole log. A file that exports these three is one, see `docs/audit.md`. */
export interface CustomProjection<State = unknown, Result = unknown> {
  /** The state before the first event. */
  init(): State;
  /** The state after `event`. It may change and return the state that it was given. */
  evolve(state: State, event: ReplayedEvent): State;
  /** What is shown in the end: anything that JSON can hold. Left out, it is the state. */
  result?(state: State): Result;
}

/** What a module exports, as a projection. Throws {@link AuditError} when it is none. */
export function customProjectionOf(
  module: Readonly<Record<string, unknown>>,
  name: string,
): CustomProjection {
  for (const member of ['init', 'evolve'] as const) {
    if (typeof module[member] !== 'function') {
      throw new AuditError(`${name} is no projection: it must export a function \`${member}\``);
    }
  }
  if (module['result'] !== undefined && typeof module['result'] !== 'function') {
    throw new AuditError(`${name} is no projection: its \`result\` is not a function`);
  }
  return module as unknown as CustomProjection;
}

/**
 * Folds the log, event by event in log order, and gives the projection's result.
 *
 * @throws EventSchemaError an event that this Keyturn cannot read
 */
export async function replayProjection<State, Result>(
  eventStore: EventStore,
  projection: CustomProjection<State, Result>,
  range: LogRange & { readonly onProgress?: (position: number) => void } = {},
): Promise<State | Result> {
  let state = projection.init();
  for await (const events of logBatches(eventStore, range)) {
    for (const recorded of events) {
      state = projection.evolve(state, replayedEvent(recorded));
    }
    range.onProgress?.(Number(events.at(-1)?.position ?? 0n));
  }
  return projection.result === undefined ? state : projection.result(state);
}

function replayedEvent(recorded: RecordedEvent): ReplayedEvent {
  const { stream, revision, position, id, metadata } = recorded;
  return { ...readStoredEvent(recorded), stream, revision, position, id, metadata };
}
