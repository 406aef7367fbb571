import { styleText } from 'node:util';
import { AuditError } from '../audit/audit-error.ts';
import { findMachineUser } from '../audit/machine-user-events.ts';
import { type FieldChange, type HistoryEntry, userHistory } from '../audit/user-history.ts';
import { eventCatalogue } from '../domain/event-catalogue.ts';
import { withReadableLog } from './audited-log.ts';
import { csv, jsonArray, ndjson, tableBlocks, writeOut, writePaged } from './output.ts';

export interface HistorySettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly format: 'table' | 'json' | 'ndjson' | 'csv';
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly type?: readonly string[] | undefined;
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
}

const narrowest = 100;

/** Shows the life of a machine user. */
export async function history(idOrName: string, settings: HistorySettings): Promise<void> {
  await withReadableLog(settings, async (log) => {
    const { format, since, until, type: types, after, limit } = settings;
    const unknown = types?.find((type) => !Object.hasOwn(eventCatalogue, type));
    if (unknown !== undefined) throw new AuditError(`${unknown} is no event type: docs/events.md lists them`);
    const userId = await findMachineUser(log, idOrName);
    const entries = userHistory(log.eventStore, userId, { since, until, types, after, limit });
    if (format === 'table') await writePaged(tableBlocks(entries, tableOptions(), cellsOf, colouredByType));
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

/** Columns as wide as the terminal, or as a wide one where there is none. */
function tableOptions() {
  const width = Math.max(process.stdout.columns ?? 160, narrowest);
  const [time, type, sequence, organization, borders] = [15, 24, 5, 20, 8];
  const rest = Math.max(width - time - type - sequence - organization - borders, 60);
  const [editor, from] = [Math.max(Math.floor(rest * 0.25), 20), Math.floor(rest * 0.3)];
  return {
    head: ['Time', 'Event', 'Seq', 'Editor', 'Organization', 'From', 'What changed'],
    colWidths: [time, type, sequence, editor, organization, from, rest - editor - from],
    wordWrap: true,
    wrapOnWordBoundary: false,
    empty: 'No events.',
  };
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
  return [
    time.replace('T', '\n'),
    type,
    String(sequence),
    editor === undefined ? 'Keyturn' : `${editor.userName ?? ''}\n${editor.userId}`.trim(),
    organizationId ?? 'the instance',
    [address, userAgent].filter((part) => part !== undefined).join('\n'),
    changes.map(describeChange).join('\n'),
  ];
}

function describeChange({ field, from, to }: FieldChange): string {
  if (from === '') return `${field}: ${to}`;
  return to === '' ? `${field}: ${from} →` : `${field}: ${from} → ${to}`;
}

function colouredByType([time = '', type = '', ...rest]: readonly string[]): string[] {
  const colour = /Removed|Deactivated|Locked$/.test(type) ? 'red' : /Secret/.test(type) ? 'yellow' : 'cyan';
  return [time, styleText(colour, type, { stream: process.stdout }), ...rest];
}
