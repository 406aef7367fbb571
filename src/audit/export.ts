import {
  appendFileSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { headOf } from '../eventstore/head.ts';
import { AuditError } from './audit-error.ts';
import { FileChains, fileHeader, lineOf, readEventFile } from './event-file.ts';
import { logBatches } from './log-batches.ts';

export interface ExportOptions {
  /** Told how far the log has been read, in positions. */
  readonly onProgress?: (position: number, head: number) => void;
}

/**
 * Writes all events of the log to `file`, and checks the hash chains on the way. A file from an earlier export of the
 * same log, whole or cut off, is continued. The log may grow meanwhile: what comes later is not part of the file.
 *
 * @returns how many events the file holds
 * @throws AuditError the chain of a stream is broken, or the file is none of this log's
 */
export async function exportLog(
  eventStore: EventStore,
  file: string,
  options: ExportOptions = {},
): Promise<number> {
  const chains = new FileChains();
  const written = isBegun(file) ? await continueAfter(eventStore, file, chains) : undefined;
  // Secrets are in it as hashes, and keys encrypted: still for its owner only.
  const descriptor = openSync(file, written === undefined ? 'w' : 'r+', 0o600);
  try {
    fchmodSync(descriptor, 0o600);
    if (written === undefined) writeSync(descriptor, `${fileHeader}\n`);
    else ftruncateSync(descriptor, written.offset);
    const head = await headOf(eventStore);
    for await (const events of logBatches(eventStore, { after: written?.position ?? 0n, until: head })) {
      appendFileSync(file, linesOf(events, chains));
      options.onProgress?.(Number(events.at(-1)?.position), Number(head));
    }
    appendFileSync(file, `${chains.end()}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return chains.events;
}

/** One that was cut off within its first line holds nothing to continue. */
function isBegun(file: string): boolean {
  if (!existsSync(file)) return false;
  const start = `${fileHeader}\n`;
  return statSync(file).size >= start.length || !start.startsWith(readFileSync(file, 'utf8'));
}

function linesOf(events: readonly RecordedEvent[], chains: FileChains): string {
  return events
    .map((event) => {
      const line = lineOf(event);
      chains.add(event, line);
      return `${line}\n`;
    })
    .join('');
}

/** Where to go on in the file, in bytes, and in the log. */
async function continueAfter(eventStore: EventStore, file: string, chains: FileChains) {
  let last: RecordedEvent | undefined;
  let offset = Buffer.byteLength(`${fileHeader}\n`);
  for await (const line of readEventFile(file)) {
    if ('end' in line) break;
    chains.add(line.event, line.text);
    ({ event: last, offset } = line);
  }
  if (last !== undefined && !(await holds(eventStore, last))) {
    throw new AuditError(`${file} is there already, and holds events of another log`);
  }
  return { offset, position: last?.position ?? 0n };
}

async function holds(
  eventStore: EventStore,
  { stream, revision, id, position }: RecordedEvent,
): Promise<boolean> {
  for await (const event of eventStore.readStream(stream, { from: revision, limit: 1 })) {
    return event.id === id && event.position === position;
  }
  return false;
}
