import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plotsOf } from './plots.ts';
import { markdownOf, type Report } from './report.ts';

const docs = join(import.meta.dirname, '../../docs');
const page = join(docs, 'performance.md');
/** What stands between them is written here; the rest of the page, by people. */
const markers = ['<!-- written by npm run bench -- --write-docs -->', '<!-- until here -->'] as const;

/** Puts the table into `docs/performance.md`, and the plots beside it. */
export function writeDocuments(report: Report): void {
  const text = readFileSync(page, 'utf8');
  const [begin, end] = markers.map((marker) => text.indexOf(marker)) as [number, number];
  if (begin < 0 || end < begin) throw new Error(`${page} does not have the markers ${markers.join(' and ')}`);
  const before = text.slice(0, begin + markers[0].length);
  writeFileSync(page, `${before}\n\n${markdownOf(report)}\n\n${text.slice(end)}`);
  const folder = join(docs, 'performance');
  mkdirSync(folder, { recursive: true });
  for (const [name, svg] of Object.entries(plotsOf(report))) writeFileSync(join(folder, `${name}.svg`), svg);
}
