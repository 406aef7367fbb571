import { existsSync, readFileSync } from 'node:fs';
import { AuditError } from '../audit/audit-error.ts';
import { verifyInclusion } from '../audit/checkpoints/inclusion-proof.ts';
import { type NoteVerifier, parseVerifierKey } from '../audit/checkpoints/signed-note.ts';
import { describeFault } from '../audit/log-fault.ts';
import { isIntact, type LogVerification, verifyLog } from '../audit/verify-log.ts';
import { reportingErrors, withAuditedLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { toJson } from './output.ts';

export interface VerifySettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly threads: number;
  readonly format: 'text' | 'json';
  /** Files that hold a checkpoint. */
  readonly checkpoint?: readonly string[] | undefined;
  /** A verifier key, or a file that holds one. */
  readonly key?: string | undefined;
  /** A file that `prove` wrote. Then nothing but this is verified, and no log is read. */
  readonly proof?: string | undefined;
}

/** Checks the log, or a proof, and ends with status 1 when anything does not fit. */
export async function verify(settings: VerifySettings): Promise<void> {
  await reportingErrors(async () => {
    const verifier = settings.key === undefined ? undefined : verifierOf(settings.key);
    if (settings.proof !== undefined) verifyProof(settings.proof, verifier, settings.format);
    else await verifyWholeLog(settings, verifier);
  });
}

async function verifyWholeLog(settings: VerifySettings, verifier: NoteVerifier | undefined): Promise<void> {
  const { threads, format } = settings;
  const checkpoints = (settings.checkpoint ?? []).map((file) => ({ source: file, text: readText(file) }));
  await withAuditedLog(settings, async (log) => {
    const progress = eventProgress('verifying');
    const options = { threads, checkpoints, verifier, onProgress: progress.update };
    const verification = await verifyLog(log, options).finally(progress.stop);
    const isWhole = isIntact(verification);
    process.stdout.write(
      format === 'json'
        ? `${toJson({ intact: isWhole, ...verification })}\n`
        : verificationText(verification),
    );
    if (!isWhole) process.exitCode = 1;
  });
}

export function verificationText({ events, fault, treeFault, checkpoints }: LogVerification): string {
  const lines = [
    fault === undefined ? `intact: ${events} events, every one fits` : `BROKEN: ${describeFault(fault)}`,
    ...(treeFault === undefined ? [] : [`BROKEN: ${treeFault}`]),
    ...checkpoints.map((checkpoint) =>
      checkpoint.fault === undefined
        ? `intact: ${checkpoint.source} covers the first ${checkpoint.size} events`
        : `BROKEN: ${checkpoint.source}: ${checkpoint.fault}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function verifyProof(file: string, verifier: NoteVerifier | undefined, format: 'text' | 'json'): void {
  if (verifier === undefined) {
    throw new AuditError('a proof needs the verifier key of the log: give it with --key');
  }
  const { event, index, size } = verifyInclusion(readText(file), verifier);
  const { stream, revision, type, id } = event;
  process.stdout.write(
    format === 'json'
      ? `${toJson({ proven: true, log: verifier.name, index, size, event })}\n`
      : `proven: ${type} (${id}), event ${revision} of stream ${stream}, is number ${index} of ${size} in the log ${verifier.name}\n`,
  );
}

function verifierOf(key: string): NoteVerifier {
  return parseVerifierKey(existsSync(key) ? readText(key) : key);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new AuditError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
