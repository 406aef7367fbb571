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

  constructor(stream: string, bytes: number, limit: number) {
    super(`append to ${stream} has ${bytes} bytes, at most ${limit} are allowed`);
  }
}

export class EventStoreClosedError extends Error {
  override readonly name = 'EventStoreClosedError';
  readonly code = 'EVENT_STORE_CLOSED';

  constructor() {
    super('the event store is closed');
  }
}

/** The store cannot be opened as it is: another process writes to it, or its file is not one that this version reads. */
export class EventStoreUnusableError extends Error {
  override readonly name = 'EventStoreUnusableError';
  readonly code = 'EVENT_STORE_UNUSABLE';
}

function describe(revision: ExpectedRevision): string {
  return typeof revision === 'bigint' ? `revision ${revision}` : revision;
}
