import type { ExpectedRevision } from './event-store.ts';

export class WrongExpectedRevisionError extends Error {
  override readonly name = 'WrongExpectedRevisionError';
  readonly code = 'WRONG_EXPECTED_REVISION';
  readonly stream: string;
  readonly expected: ExpectedRevision;
  /** Revision of the stream's last event, `no_stream` when it has none. */
  readonly actual: bigint | 'no_stream';

  constructor(stream: string, expected: ExpectedRevision, actual: bigint | 'no_stream') {
    super(`stream ${stream} is at ${describe(actual)}, expected ${describe(expected)}`);
    this.stream = stream;
    this.expected = expected;
    this.actual = actual;
  }
}

export class AppendTooLargeError extends Error {
  override readonly name = 'AppendTooLargeError';
  readonly code = 'APPEND_TOO_LARGE';

  constructor(stream: string, limit: number) {
    super(`an append to ${stream} has more than the ${limit} bytes that are allowed`);
  }
}

export class EventStoreClosedError extends Error {
  override readonly name = 'EventStoreClosedError';
  readonly code = 'EVENT_STORE_CLOSED';

  constructor() {
    super('the event store is closed');
  }
}

/**
 * The store did not answer in time, or cannot be reached. Whether an append that ends so has landed is not known: the
 * same append, with the same event ids at the same expected revision, can be repeated and lands once.
 */
export class EventStoreUnavailableError extends Error {
  override readonly name = 'EventStoreUnavailableError';
  readonly code = 'EVENT_STORE_UNAVAILABLE';

  constructor(reason: string, options: ErrorOptions = {}) {
    super(`the event store cannot be reached: ${reason}`, options);
  }
}

/**
 * The store cannot be used as it is: another process writes to it, its file is not one that this version reads, it
 * refuses the credentials.
 */
export class EventStoreUnusableError extends Error {
  override readonly name = 'EventStoreUnusableError';
  readonly code = 'EVENT_STORE_UNUSABLE';
}

/** A personal key is there, and is under none of the keys that are known, which are derived from master keys. */
export class WrongWrappingKeyError extends EventStoreUnusableError {}

/**
 * A stored event is not what the port writes: its data or metadata is not JSON. Says which event that is, and not what the parser
 * says of it, which quotes the text: there may be a hash in it.
 */
export class UnreadableEventError extends Error {
  override readonly name = 'UnreadableEventError';
  readonly code = 'UNREADABLE_EVENT';
  readonly stream: string;
  readonly revision: bigint;
  readonly position: bigint;

  constructor(event: { stream: string; revision: bigint; position: bigint }) {
    super(
      `event ${event.revision} of stream ${event.stream}, at position ${event.position}, is not readable`,
    );
    this.stream = event.stream;
    this.revision = event.revision;
    this.position = event.position;
  }
}

function describe(revision: ExpectedRevision): string {
  return typeof revision === 'bigint' ? `revision ${revision}` : revision;
}
