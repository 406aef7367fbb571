import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { z } from 'zod';
import type { JsonObject, RecordedEvent } from '../eventstore/event-store.ts';
import { hashOfEvent } from '../eventstore/hash-chain.ts';
import { AuditError } from './audit-error.ts';
import { describeFault, faultAt, previousHashOf } from './log-fault.ts';

/** The first line of a file of events. `docs/export-format.md` describes the format. */
export const fileHeader = JSON.stringify({ keyturn: 'events', version: 1 });

const decimal = z
  .string()
  .regex(/^\d{1,19}$/)
  .transform(BigInt);
const jsonObject = z.record(z.string(), z.json()) as unknown as z.ZodType<JsonObject>;

const eventLine = z.strictObject({
  stream: z.string().min(1),
  revision: decimal,
  id: z.uuid(),
  type: z.string().min(1),
  data: jsonObject,
  metadata: jsonObject,
  position: decimal,
  recordedAt: z.iso.datetime().transform((text) => new Date(text)),
});

const endLine = z.strictObject({ keyturn: z.literal('end'), events: decimal, sha256: z.string() });

export function lineOf(event: RecordedEvent): string {
  const { stream, revision, id, type, data, metadata, position, recordedAt } = event;
  return JSON.stringify({
    stream,
    revision: String(revision),
    id,
    type,
    data,
    metadata,
    position: String(position),
    recordedAt: recordedAt.toISOString(),
  });
}

/**
 * What is true of the events of a file up to a line: each follows the event before it in its stream, and their lines have a
 * hash. The same checks hold for events that are written and for lines that are read.
 *
 * It holds the last hash of every stream: some 200 bytes each, so that 5 million streams take 1 GB.
 */
export class FileChains {
  readonly #streams = new Map<string, { readonly revision: bigint; readonly hash: string }>();
  readonly #lines = createHash('sha256');
  #events = 0;

  get events(): number {
    return this.#events;
  }

  /** @throws AuditError the event is not the next of its stream */
  add(event: RecordedEvent, line: string): void {
    const { stream, revision } = event;
    const before = this.#streams.get(stream);
    const expected = before === undefined ? 0n : before.revision + 1n;
    if (revision !== expected) {
      throw new AuditError(
        describeFault(
          faultAt('missing', { ...event, revision: expected }, `revision ${revision} comes in its place`),
        ),
      );
    }
    if (previousHashOf(event) !== (before?.hash ?? null)) {
      throw new AuditError(
        describeFault(
          faultAt(
            'changed',
            event,
            'it does not carry the hash of the event before it, or that one was changed',
          ),
        ),
      );
    }
    this.#streams.set(stream, { revision, hash: hashOfEvent(event) });
    this.#lines.update(`${line}\n`);
    this.#events++;
  }

  /** The last line of a file that ends here. */
  end(): string {
    return JSON.stringify({ keyturn: 'end', events: String(this.#events), sha256: this.#hash() });
  }

  /** @throws AuditError the file does not hold what its last line says */
  checkEnd({ events, sha256 }: { readonly events: bigint; readonly sha256: string }): void {
    if (events === BigInt(this.#events) && sha256 === this.#hash()) return;
    throw new AuditError(
      `the file is not as it was exported: its last line speaks of ${events} other events`,
    );
  }

  #hash(): string {
    return this.#lines.copy().digest('base64url');
  }
}

/** A line of a file: an event, or the end. `offset` is where the next line begins, in bytes. */
export type FileLine =
  | { readonly event: RecordedEvent; readonly text: string; readonly offset: number }
  | { readonly end: z.output<typeof endLine> };

/**
 * The lines after the first one. A last line without its line break is left out: it was cut off.
 *
 * @throws AuditError naming the line that is none of the format
 */
export async function* readEventFile(file: string): AsyncGenerator<FileLine> {
  let offset = 0;
  let number = 0;
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) {
      number++;
      offset += Buffer.byteLength(text) + 1;
      if (number > 1) yield parseLine(text, number, offset);
      else if (text !== fileHeader) throw new AuditError(`${file} is not a file of events of this version`);
    }
  }
  if (number === 0) throw new AuditError(`${file} is not a file of events of this version`);
}

function parseLine(text: string, number: number, offset: number): FileLine {
  const value = parseJson(text);
  const end = endLine.safeParse(value);
  if (end.success) return { end: end.data };
  const event = eventLine.safeParse(value);
  if (event.success) return { event: event.data, text, offset };
  const where = event.error.issues[0]?.path.join('.') || 'it';
  throw new AuditError(`line ${number} is not an event: ${where} is not valid`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
