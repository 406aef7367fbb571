import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { AuditError } from '../audit/audit-error.ts';
import { headOf } from '../audit/log-batches.ts';
import { reportData } from '../audit/report/report-data.ts';
import { reportPage } from '../audit/report/report-page.ts';
import { readSecretUses } from '../audit/report/secret-uses.ts';
import { verifyLog } from '../audit/verify-log.ts';
import { withAuditedLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';

export interface ReportSettings {
  readonly dataDir: string;
  readonly out: string;
  /** What `keyturn serve` wrote to standard output. */
  readonly serviceLog?: readonly string[] | undefined;
}

/** Writes one page for auditors: secrets by age, rotations, who rotates, and whether the log is intact. */
export async function report({ dataDir, out, serviceLog }: ReportSettings): Promise<void> {
  await withAuditedLog({ dataDir }, async (log) => {
    const missing = serviceLog?.find((file) => !existsSync(file));
    if (missing !== undefined) throw new AuditError(`there is no file ${missing}`);
    const uses = serviceLog && (await readSecretUses(serviceLog));
    const verifying = eventProgress('verifying');
    const verification = await verifyLog(log, { onProgress: verifying.update }).finally(verifying.stop);
    const head = Number(await headOf(log.eventStore));
    const reading = eventProgress('reading the log');
    const data = await reportData(log.eventStore, {
      now: new Date(),
      verification,
      uses,
      onProgress: (position) => reading.update(position, head),
    }).finally(reading.stop);
    await writeFileAtomic(resolve(out), reportPage(data), { mode: 0o600 });
    process.stderr.write(`the report is in ${out}\n`);
  });
}
