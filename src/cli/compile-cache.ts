import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Keeps compiled code between runs: half of the CPU time of a start is compiling. Where the folder cannot be written,
 * nothing is kept.
 *
 * The folder is one of the user alone, unlike Node's default in the folder of temporary files: who can write there decides what
 * runs.
 */
export function keepCompiledCode(): void {
  try {
    enableCompileCache(join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'keyturn'));
  } catch {
    // A user without a home.
  }
}
