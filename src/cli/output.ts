import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { stripVTControlCharacters } from 'node:util';
import { stringify } from 'csv-stringify';

/** 64-bit integers become decimal strings, as in the API. */
export const toJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, (_key, member) => (typeof member === 'bigint' ? String(member) : member), indent);

/** Text that others chose, for a terminal: without control characters, which could make it show something else. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, ' ');
}

/** Writes `lines` to standard output, through a pager where that is a terminal and `PAGER` or less is there. */
export async function writePaged(lines: AsyncIterable<string>): Promise<void> {
  if (!process.stdout.isTTY) return writeOut(lines);
  // -F: no pager for what fits on the screen, -R: colours, -X: leave it on the screen.
  const pager = spawn(process.env['PAGER'] || 'less', {
    shell: true,
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { LESS: 'FRX', ...process.env },
  });
  await write(lines, pager.stdin);
  if (pager.exitCode === null) await once(pager, 'close');
}

export function writeOut(lines: AsyncIterable<string>): Promise<void> {
  return write(lines, process.stdout);
}

/** A reader that has seen enough, as `head` or a pager that was quit, is no error. */
async function write(lines: AsyncIterable<string>, out: Writable): Promise<void> {
  try {
    await pipeline(Readable.from(lines), out, { end: out !== process.stdout });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
  }
}

/** One JSON array, an element a line. */
export async function* jsonArray(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  let separator = '[\n';
  for await (const value of values) {
    yield separator + toJson(value);
    separator = ',\n';
  }
  yield separator === '[\n' ? '[]\n' : '\n]\n';
}

export async function* ndjson(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${toJson(value)}\n`;
}

/** RFC 4180 with a header line. What a spreadsheet would run as a formula is made text. */
export async function* csv(
  rows: AsyncIterable<Readonly<Record<string, string>>>,
  columns: readonly string[],
) {
  const stringifier = stringify({ header: true, columns: [...columns], escape_formulas: true });
  const failed = pipeline(Readable.from(rows), stringifier);
  yield* stringifier as AsyncIterable<string>;
  await failed;
}
