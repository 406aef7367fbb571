import { scanForSecrets } from '../audit/secret-scan.ts';
import { reportingErrors } from './audited-log.ts';
import { printable, toJson } from './output.ts';

export interface ScanSettings {
  readonly json?: true | undefined;
}

/** Prints where Keyturn secrets are, never what they are. Status 1 when there is one, so that a pipeline stops. */
export async function scan(path: string, { json }: ScanSettings): Promise<void> {
  await reportingErrors(async () => {
    for await (const found of scanForSecrets(path)) {
      const { secretId, file, line, commit } = found;
      const where = `${printable(file)}:${line}${commit === undefined ? '' : ` in commit ${commit}`}`;
      process.stdout.write(json ? `${toJson(found)}\n` : `secret ${secretId} at ${where}\n`);
      process.exitCode = 1;
    }
  });
}
