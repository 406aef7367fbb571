import { writeFile } from 'node:fs/promises';
import { AuditError } from '../audit/audit-error.ts';
import { CheckpointFile } from '../audit/checkpoints/checkpoint-file.ts';
import { findEvent, proveInclusion } from '../audit/checkpoints/inclusion-proof.ts';
import { verifierOfLog } from '../audit/checkpoints/log-verifier.ts';
import { formatVerifierKey } from '../audit/checkpoints/signed-note.ts';
import { type OpenedLog, withAuditedLog } from './audited-log.ts';

export interface CheckpointSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly verifierKey?: true | undefined;
}

/** Writes the last signed checkpoint, or the key to verify it with, to standard output. */
export async function checkpoint(settings: CheckpointSettings): Promise<void> {
  await withAuditedLog(settings, async (log) => {
    const verifier = await requireVerifier(log);
    const text = settings.verifierKey
      ? `${formatVerifierKey(verifier)}\n`
      : new CheckpointFile(log.dataDirectory.logTreeFolder).read();
    if (text === undefined) throw new AuditError('this instance has signed no checkpoint yet');
    process.stdout.write(text);
  });
}

export interface ProveSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly out?: string | undefined;
}

/** Writes a proof that an event is in the log, to a file that is not there yet or to standard output. */
export async function prove(eventName: string, { out, ...settings }: ProveSettings): Promise<void> {
  await withAuditedLog(settings, async (log) => {
    const verifier = await requireVerifier(log);
    const event = await findEvent(log.eventStore, eventName);
    const proof = proveInclusion(log.dataDirectory.logTreeFolder, event, verifier);
    if (out === undefined) process.stdout.write(proof);
    else await writeNewFile(out, proof);
  });
}

async function requireVerifier({ eventStore }: OpenedLog) {
  const verifier = await verifierOfLog(eventStore);
  if (verifier === undefined) throw new AuditError('this instance has signed no checkpoint yet');
  return verifier;
}

async function writeNewFile(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new AuditError(`${file} cannot be written: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
