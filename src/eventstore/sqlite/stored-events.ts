import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { UnreadableEventError } from '../errors.ts';
import type { JsonObject } from '../event-store.ts';
import type { ChainedEvent, EventTexts } from '../hash-chain.ts';
import { maxInteger } from './event-row.ts';
import { checkSchema } from './schema.ts';

/** An event as it stands in the file: data and metadata are text that nobody has parsed yet. */
export interface StoredEvent extends EventTexts {
  readonly position: number;
}

/** Few: a page lives as long as what is made of it, and the longer, the more of it gets among the old objects of the heap. */
const pageSize = 256;

/**
 * The events of a log with positions past `after`, up to `until`, in log order and in pages: for what reads a long log from one
 * end to the other, in half of the time that it takes to read whole events.
 *
 * @param until inclusive; undefined: what the log holds when its end is reached
 * @throws EventStoreUnusableError `file` is no event log of this version
 */
export function* storedEvents(
  file: string,
  after: bigint,
  until: bigint | undefined,
): Generator<readonly StoredEvent[]> {
  const log = new StoredLog(file);
  try {
    let position: bigint | number = after;
    for (;;) {
      const page = log.read(position, until, pageSize);
      const end = page.at(-1);
      if (end === undefined) return;
      yield page;
      position = end.position;
    }
  } finally {
    log.close();
  }
}

/** A log file that is read beside the process that writes to it. */
export class StoredLog {
  readonly #db: DatabaseSync;
  readonly #page: StatementSync;
  readonly #latest: StatementSync;

  /** @throws EventStoreUnusableError `file` is no event log of this version */
  constructor(file: string) {
    this.#db = new DatabaseSync(file, { readOnly: true, timeout: 1000 });
    try {
      checkSchema(this.#db, file);
      this.#page = this.#db.prepare(
        `SELECT position, stream, revision, id, type, data, metadata
           FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`,
      );
      // Rows as arrays are made in two thirds of the time.
      this.#page.setReturnArrays(true);
      this.#latest = this.#db.prepare(
        `SELECT position, stream, revision, id, type, data, metadata
           FROM events WHERE stream = ? AND type = ? ORDER BY revision DESC LIMIT 1`,
      );
      this.#latest.setReturnArrays(true);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** As {@link storedEvents}, one page of at most `limit`. */
  read(after: bigint | number, until: bigint | undefined, limit: number): StoredEvent[] {
    const rows = this.#page.all(after, until ?? maxInteger, limit) as unknown as StoredRow[];
    const events: StoredEvent[] = [];
    let last: StoredEvent | undefined;
    for (const row of rows) {
      last = toStoredEvent(row, last);
      events.push(last);
    }
    return events;
  }

  /** The last event of a type in a stream, wherever in the log it stands. */
  latest(stream: string, type: string): StoredEvent | undefined {
    const row = this.#latest.get(stream, type) as unknown as StoredRow | undefined;
    return row && toStoredEvent(row, undefined);
  }

  close(): void {
    this.#db.close();
  }
}

/** With data and metadata parsed. Throws {@link UnreadableEventError} where they are not JSON. */
export function toChainedEvent(stored: StoredEvent): ChainedEvent {
  const { position, stream, revision, id, type, data, metadata } = stored;
  return {
    position: BigInt(position),
    stream,
    revision: BigInt(revision),
    id,
    type,
    data: parsedJson(data, stored) as JsonObject,
    metadata: parsedJson(metadata, stored) as JsonObject,
  };
}

/**
 * @param json the data or the metadata of `event`
 * @throws UnreadableEventError
 */
export function parsedJson(
  json: string,
  { stream, revision, position }: Pick<StoredEvent, 'stream' | 'revision' | 'position'>,
): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new UnreadableEventError({ stream, revision: BigInt(revision), position: BigInt(position) });
  }
}

type StoredRow = readonly [number, string, number, string, string, string, string];

/** @param before with texts that often come again: as one text it is hashed once, however often it is looked up by */
function toStoredEvent(
  [position, stream, revision, id, type, data, metadata]: StoredRow,
  before: StoredEvent | undefined,
): StoredEvent {
  return {
    position,
    stream: stream === before?.stream ? before.stream : stream,
    revision,
    id,
    type: type === before?.type ? before.type : type,
    data,
    metadata,
  };
}
