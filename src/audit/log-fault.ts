import { type ChainedEvent, hashOfEvent } from '../eventstore/hash-chain.ts';

/** What is wrong with a log, at the first event that does not fit. */
export interface LogFault {
  readonly kind: 'changed' | 'missing' | 'inserted' | 'reordered' | 'unreadable';
  /** Absent when nothing is left that tells it. */
  readonly stream?: string;
  readonly revision?: bigint;
  /** Where the event stands in the log, or stood. Absent for a missing one that nothing recorded. */
  readonly position?: bigint;
  /** A sentence for people. */
  readonly reason: string;
}

export function faultAt(
  kind: LogFault['kind'],
  { stream, revision, position }: Pick<ChainedEvent, 'stream' | 'revision' | 'position'>,
  reason: string,
): LogFault {
  return { kind, stream, revision, position, reason };
}

export function previousHashOf(event: ChainedEvent): unknown {
  return event.metadata['previousHash'];
}

/** Neighbours in a stream around a place where the chain is broken. */
export interface BrokenLink {
  /** Absent where `event` is the first of its stream. */
  readonly before?: ChainedEvent | undefined;
  /** Does not carry the hash of `before`. */
  readonly event: ChainedEvent;
  readonly after?: ChainedEvent | undefined;
}

/**
 * Tells what was done to a stream from the links that still hold around a broken one.
 *
 * Two events that do not fit each other do not say by themselves which one was changed: the event after them does, when
 * it still fits. Where that is missing too, both are named.
 */
export function diagnose({ before, event, after }: BrokenLink): LogFault {
  const asRevision = (moved: ChainedEvent, revision: bigint) => hashOfEvent({ ...moved, revision });
  if (before !== undefined && previousHashOf(event) === previousHashOf(before)) {
    return faultAt('inserted', before, 'the event after it follows the event before it');
  }
  if (after !== undefined) {
    if (before !== undefined && previousHashOf(after) === hashOfEvent(before)) {
      return faultAt('inserted', event, 'the event after it follows the event before it');
    }
    if (previousHashOf(event) === asRevision(after, event.revision)) {
      return faultAt('reordered', event, `it and revision ${after.revision} have changed places`);
    }
    if (previousHashOf(after) === asRevision(event, event.revision + 1n)) {
      return faultAt('missing', event, 'an event before it was removed, and the rest moved up');
    }
    if (before !== undefined && previousHashOf(after) === hashOfEvent(event)) {
      return faultAt('changed', before, `revision ${event.revision} carries another hash of it`);
    }
  }
  if (before === undefined) {
    return faultAt(
      'changed',
      event,
      'it is the first event of its stream, and says that one comes before it',
    );
  }
  return faultAt(
    'changed',
    before,
    `it and revision ${event.revision} do not fit each other: at least one of them was changed`,
  );
}

export function describeFault({ kind, stream, revision, position, reason }: LogFault): string {
  const event = stream === undefined ? 'the event' : `event ${revision} of stream ${stream}`;
  const place = position === undefined ? '' : ` at position ${position}`;
  return `${event}${place} is ${kind}: ${reason}`;
}
