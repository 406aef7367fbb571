import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import { stringify } from 'csv-stringify';

/** 64-bit integers become decimal strings, as in the API. */
export const toJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, (_key, member) => (typeof member === 'bigint' ? String(member) : member), indent);

/** Text that others chose, for a terminal: without control characters, which could make it show something else. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, ' ');
}

/** The same with its line feeds. */
function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** Writes `lines` to standard output, through a pager where that is a terminal and `PAGER` or less is there. */
export async function writePaged(lines: AsyncIterable<string>): Promise<void> {
  const pager = process.env['PAGER'] || 'less';
  if (!process.stdout.isTTY || !isInstalled(pager)) return writeOut(lines);
  // -F: no pager for what fits on the screen, -R: colours, -X: leave it on the screen.
  const paging = spawn(pager, {
    shell: true,
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { LESS: 'FRX', ...process.env },
  });
  await write(lines, paging.stdin);
  if (paging.exitCode === null) await once(paging, 'close');
}

/** Whether the shell finds the command. Asked before: a pager that is not there would swallow what it is given. */
function isInstalled(command: string): boolean {
  const [program = ''] = command.trim().split(/\s+/);
  return (
    spawnSync('command -v "$PROGRAM"', { shell: true, env: { ...process.env, PROGRAM: program } }).status ===
    0
  );
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

interface TableOptions {
  readonly head: string[];
  readonly colWidths?: number[];
  readonly wordWrap?: boolean;
  readonly wrapOnWordBoundary?: boolean;
  /** What is shown in the place of no row. */
  readonly empty: string;
}

const rowsInBlock = 500;

/** In blocks with a head of their own: as many rows as there are pass in flat memory. */
export async function* tableBlocks<Row>(
  rows: AsyncIterable<Row>,
  { empty, ...options }: TableOptions,
  cellsOf: (row: Row) => readonly string[],
  coloured: (cells: string[]) => string[] = (cells) => cells,
): AsyncGenerator<string> {
  const newBlock = () => new Table({ ...options, style: tableStyle() });
  let block = newBlock();
  let isEmpty = true;
  for await (const row of rows) {
    isEmpty = false;
    block.push(coloured(cellsOf(row).map(printableLines)));
    if (block.length < rowsInBlock) continue;
    yield `${block.toString()}\n`;
    block = newBlock();
  }
  if (block.length > 0) yield `${block.toString()}\n`;
  if (isEmpty) yield `${empty}\n`;
}

/** Of cli-table3: colours only where they are shown. */
function tableStyle(): { head: string[]; border: string[] } {
  const coloured = process.stdout.isTTY === true && process.stdout.hasColors();
  return coloured ? { head: ['bold'], border: ['grey'] } : { head: [], border: [] };
}
