import { EventStoreUnusableError } from '../errors.ts';
import type { Endpoint } from './connection-string.ts';

/** A call to the store that failed for a reason that may pass: no connection, no leader, no answer in time. */
export class PassingFault extends Error {
  override readonly name = 'PassingFault';
  /** The node that leads, where the one that was asked does not and says so. */
  readonly leader: Endpoint | undefined;

  constructor(message: string, options: { cause?: unknown; leader?: Endpoint } = {}) {
    super(message, { cause: options.cause });
    this.leader = options.leader;
  }
}

/** The store reads on from its events only, and none of them is at the position. */
export class InvalidPositionError extends EventStoreUnusableError {}
