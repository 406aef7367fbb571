import { styleText } from 'node:util';
import Table from 'cli-table3';
import { AuditError } from '../audit/audit-error.ts';
import { findMachineUser } from '../audit/machine-user-events.ts';
import { type FieldChange, type HistoryEntry, userHistory } from '../audit/user-history.ts';
import { eventCatalogue } from '../domain/event-catalogue.ts';
import { withAuditedLog } from './audited-log.ts';
import { csv, jsonArray, ndjson, printable, writeOut, writePaged } from './output.ts';

export interface HistorySettings {
  readonly dataDir: string;
  readonly format: 'table' | 'json' | 'ndjson' | 'csv';
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly type?: readonly string[] | undefined;
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
}

const rowsInBlock = 500;
const narrowest = 80;

/** Shows the life of a machine user. */
export async function history(idOrName: string, settings: HistorySettings): Promise<void> {
  await withAuditedLog(settings, async ({ eventStore }) => {
    const { format, since, until, type: types, after, limit } = settings;
    const unknown = types?.find((type) => !Object.hasOwn(eventCatalogue, type));
    if (unknown !== undefined) throw new AuditError(`${unknown} is no event type: docs/events.md lists them`);
    const userId = await findMachineUser(eventStore, idOrName);
    const entries = userHistory(eventStore, userId, { since, until, types, after, limit });
    if (format === 'table') await writePaged(table(entries));
    if (format === 'json') await writeOut(jsonArray(entries));
    if (format === 'ndjson') await writeOut(ndjson(entries));
    if (format === 'csv') await writeOut(csv(rows(entries), csvColumns));
  });
}

const csvColumns = [
  'time',
  'type',
  'sequence',
  'editorId',
  'editorUserName',
  'organizationId',
  'address',
  'userAgent',
  'changes',
  'requestId',
  'stream',
  'position',
];

async function* rows(entries: AsyncIterable<HistoryEntry>) {
  for await (const { editor, changes, sequence, position, ...rest } of entries) {
    yield {
      ...rest,
      sequence: String(sequence),
      position: String(position),
      editorId: editor?.userId ?? '',
      editorUserName: editor?.userName ?? '',
      changes: changes.map(describeChange).join('; '),
    };
  }
}

/** In blocks with a head of their own, so that a history of any length is written as it is read. */
async function* table(entries: AsyncIterable<HistoryEntry>): AsyncGenerator<string> {
  let block = newBlock();
  let isEmpty = true;
  for await (const entry of entries) {
    isEmpty = false;
    block.push(cellsOf(entry));
    if (block.length < rowsInBlock) continue;
    yield `${block.toString()}\n`;
    block = newBlock();
  }
  if (block.length > 0) yield `${block.toString()}\n`;
  if (isEmpty) yield 'No events.\n';
}

function newBlock() {
  const width = Math.max(process.stdout.columns ?? 160, narrowest);
  const fixed = [21, 24, 5] as const;
  const borders = 8;
  const rest = width - borders - fixed[0] - fixed[1] - fixed[2];
  const [editor, organization, from] = [0.2, 0.16, 0.22].map((share) =>
    Math.max(Math.floor(rest * share), 8),
  );
  const changes = rest - (editor ?? 0) - (organization ?? 0) - (from ?? 0);
  return new Table({
    head: ['Time', 'Event', 'Seq', 'Editor', 'Organization', 'From', 'What changed'],
    colWidths: [...fixed, editor ?? 0, organization ?? 0, from ?? 0, changes],
    wordWrap: true,
    wrapOnWordBoundary: false,
    style: { head: hasColours() ? ['bold'] : [], border: hasColours() ? ['grey'] : [] },
  });
}

function cellsOf({
  time,
  type,
  sequence,
  editor,
  organizationId,
  address,
  userAgent,
  changes,
}: HistoryEntry) {
  const by = editor === undefined ? 'Keyturn' : `${editor.userName ?? ''}\n${editor.userId}`.trim();
  return [
    time.replace('T', '\n'),
    styleText(colourOf(type), type, { stream: process.stdout }),
    String(sequence),
    by,
    organizationId ?? 'the instance',
    [address, userAgent].filter((part) => part !== undefined).join('\n'),
    changes.map(describeChange).join('\n'),
  ].map((cell, column) => (column === 1 ? cell : cell.split('\n').map(printable).join('\n')));
}

function describeChange({ field, from, to }: FieldChange): string {
  if (from === '') return `${field}: ${to}`;
  return to === '' ? `${field}: ${from} →` : `${field}: ${from} → ${to}`;
}

function colourOf(type: string) {
  if (/Removed|Deactivated|Locked$/.test(type)) return 'red';
  return /Secret/.test(type) ? 'yellow' : 'cyan';
}

function hasColours(): boolean {
  return process.stdout.isTTY === true && process.stdout.hasColors();
}
