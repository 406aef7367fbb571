import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findSecrets } from '../domain/machine-secret.ts';
import { AuditError } from './audit-error.ts';

/** A Keyturn secret in a file, or in a commit. Never the secret itself. */
export interface FoundSecret {
  readonly secretId: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The commit that added it; absent for a file as it is now. */
  readonly commit?: string;
}

/**
 * Finds Keyturn secrets in a file, or in all files below a folder and, where that is in a git repository, in what any of its
 * commits added. Told from other text by form and checksum.
 *
 * @throws AuditError there is nothing at `path`, or git fails
 */
export async function* scanForSecrets(path: string): AsyncGenerator<FoundSecret> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    (error: Error) => {
      throw new AuditError(`${path} cannot be read: ${error.message}`);
    },
  );
  if (!isFolder) {
    yield* scanFile(path);
    return;
  }
  yield* scanFolder(path);
  if (await isInRepository(path)) yield* scanHistory(path);
}

async function* scanFolder(folder: string): AsyncGenerator<FoundSecret> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name);
    // What is in .git is read as history.
    if (entry.isDirectory() && entry.name !== '.git') yield* scanFolder(path);
    // Neither links, which lead elsewhere or in circles, nor devices.
    else if (entry.isFile()) yield* scanFile(path);
  }
}

async function* scanFile(file: string): AsyncGenerator<FoundSecret> {
  // Bytes as they are: a secret is found in what is no text too.
  const lines = createInterface({
    input: createReadStream(file, 'latin1'),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  let line = 0;
  for await (const text of lines) {
    line++;
    for (const { secretId } of findSecrets(text)) yield { secretId, file, line };
  }
}

/** What each commit added, of all branches and tags. */
async function* scanHistory(folder: string): AsyncGenerator<FoundSecret> {
  const git = spawn(
    'git',
    [
      '-C',
      folder,
      'log',
      '--all',
      '--patch',
      '--text',
      '--unified=0',
      '--no-color',
      '--no-ext-diff',
      '--format=commit %H',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const closed = once(git, 'close');
  git.stderr.resume();
  git.stdout.setEncoding('latin1');
  let [commit, file, line] = ['', '', 0];
  for await (const text of createInterface({ input: git.stdout })) {
    const hunk = /^@@ -\S+ \+(\d+)/.exec(text);
    if (text.startsWith('commit ')) commit = text.slice('commit '.length);
    else if (text.startsWith('+++ ')) file = text.slice('+++ b/'.length);
    else if (hunk !== null) line = Number(hunk[1]) - 1;
    else if (text.startsWith('+')) {
      line++;
      for (const { secretId } of findSecrets(text)) yield { secretId, file, line, commit };
    }
  }
  const [status] = (await closed) as [number | null];
  if (status !== 0) throw new AuditError(`git log failed in ${folder}`);
}

/** False also where there is no git. */
async function isInRepository(folder: string): Promise<boolean> {
  const git = spawn('git', ['-C', folder, 'rev-parse', '--git-dir'], { stdio: 'ignore' });
  return new Promise((resolve) => {
    git.once('error', () => resolve(false));
    git.once('close', (status) => resolve(status === 0));
  });
}
