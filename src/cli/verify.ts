import { describeFault } from '../audit/log-fault.ts';
import { type LogVerification, verifyLog } from '../audit/verify-log.ts';
import { withAuditedLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { toJson } from './output.ts';

export interface VerifySettings {
  readonly dataDir: string;
  readonly threads: number;
  readonly format: 'text' | 'json';
}

/** Checks the log, and ends with status 1 when anything does not fit. */
export async function verify({ dataDir, threads, format }: VerifySettings): Promise<void> {
  await withAuditedLog({ dataDir }, async (log) => {
    const progress = eventProgress('verifying');
    const verification = await verifyLog(log, { threads, onProgress: progress.update });
    progress.stop();
    process.stdout.write(format === 'json' ? asJson(verification) : asText(verification));
    if (verification.fault !== undefined) process.exitCode = 1;
  });
}

function asText({ events, fault }: LogVerification): string {
  if (fault === undefined) return `intact: ${events} events, every one fits\n`;
  return `BROKEN: ${describeFault(fault)}\n`;
}

function asJson({ events, fault }: LogVerification): string {
  return `${toJson({ intact: fault === undefined, events, ...(fault && { fault }) })}\n`;
}
