import { resolve } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { reportData } from '../audit/report/report-data.ts';
import { reportPage } from '../audit/report/report-page.ts';
import { verifyLog } from '../audit/verify-log.ts';
import { headOf } from '../eventstore/head.ts';
import { withReadableLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';

export interface ReportSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly out: string;
}

/** Writes one page for auditors: secrets by age, rotations, who rotates, and whether the log is intact. */
export async function report({ out, ...settings }: ReportSettings): Promise<void> {
  await withReadableLog(settings, async (log) => {
    const verifying = eventProgress('verifying');
    const verification = await verifyLog(log.stored, { onProgress: verifying.update }).finally(
      verifying.stop,
    );
    const head = Number(await headOf(log.eventStore));
    const reading = eventProgress('reading the log');
    const data = await reportData(log.eventStore, {
      now: new Date(),
      verification,
      onProgress: (position) => reading.update(position, head),
    }).finally(reading.stop);
    await writeFileAtomic(resolve(out), reportPage(data), { mode: 0o600 });
    process.stderr.write(`the report is in ${out}\n`);
  });
}
