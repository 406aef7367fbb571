import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import { type EventStore, maxAppendBytes, type RecordedEvent } from '../eventstore/event-store.ts';
import { AuditError } from './audit-error.ts';
import { FileChains, readEventFile } from './event-file.ts';

export interface ImportOptions {
  /** Told how many events are in the store of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ImportResult {
  /** Of the file. All are in the store now. */
  readonly events: number;
  /** Of these, how many were there before: from an import that was cut off. */
  readonly found: number;
}

/** Events that are appended together at most: they follow each other in one stream, and in the log. */
const longestRun = 500;

/**
 * Writes the events of `file` to a store that is empty, or holds the first of them from an import that was cut off. Streams,
 * revisions, ids, data and metadata stay, and so do the hash chains; the order of the log stays too. The whole file is
 * checked before anything is written.
 *
 * Nobody else may write to the store meanwhile.
 *
 * @throws AuditError the file is damaged, or the store holds other events
 */
export async function importLog(
  eventStore: EventStore,
  file: string,
  { onProgress }: ImportOptions = {},
): Promise<ImportResult> {
  const total = await checkFile(file);
  const present = eventStore.readAll()[Symbol.asyncIterator]();
  let found = 0;
  let done = 0;
  const report = (count: number) => {
    done += count;
    onProgress?.(done, total);
  };
  let run = new Run();
  let isAtEnd = false;
  for await (const line of readEventFile(file)) {
    if ('end' in line) break;
    if (!isAtEnd) {
      const next = await present.next();
      if (next.done !== true) {
        requireSame(next.value, line.event);
        found++;
        report(1);
        continue;
      }
      isAtEnd = true;
    }
    if (!run.takes(line.event, line.text.length)) {
      report(await run.appendTo(eventStore));
      run = new Run();
    }
    run.add(line.event, line.text.length);
  }
  report(await run.appendTo(eventStore));
  if (!isAtEnd && (await present.next()).done !== true) {
    throw new AuditError('the event store holds more events than the file');
  }
  await present.return?.();
  return { events: total, found };
}

/** @returns how many events it holds */
async function checkFile(file: string): Promise<number> {
  const chains = new FileChains();
  for await (const line of readEventFile(file)) {
    if ('end' in line) {
      chains.checkEnd(line.end);
      return chains.events;
    }
    chains.add(line.event, line.text);
  }
  throw new AuditError(`${file} has no last line: its export was cut off, start that again`);
}

function requireSame(present: RecordedEvent, wanted: RecordedEvent): void {
  if (present.id === wanted.id && present.stream === wanted.stream && present.revision === wanted.revision)
    return;
  throw new AuditError(
    `the event store holds other events than the file, first event ${present.revision} of stream ${present.stream}`,
  );
}

/** Events that follow each other in one stream. */
class Run {
  readonly #events: RecordedEvent[] = [];
  #size = 0;

  takes(event: RecordedEvent, size: number): boolean {
    const last = this.#events.at(-1);
    if (last === undefined) return true;
    return (
      last.stream === event.stream &&
      this.#events.length < longestRun &&
      this.#size + size < maxAppendBytes / 4
    );
  }

  add(event: RecordedEvent, size: number): void {
    this.#events.push(event);
    // In UTF-16 units: a quarter of the limit leaves room for what they take in bytes.
    this.#size += size;
  }

  async appendTo(eventStore: EventStore): Promise<number> {
    const [first] = this.#events;
    if (first === undefined) return 0;
    const expected = first.revision === 0n ? 'no_stream' : first.revision - 1n;
    try {
      await eventStore.append(first.stream, this.#events, expected);
    } catch (error) {
      if (!(error instanceof WrongExpectedRevisionError)) throw error;
      throw new AuditError(`somebody else writes to the event store: ${error.message}`, { cause: error });
    }
    return this.#events.length;
  }
}
