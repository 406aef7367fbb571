import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Keeps compiled code between runs: half of the CPU time of a start is compiling. Where the folder cannot be written,
 * nothing is kept.
 *
 * Threads get it by the environment: one that finds all of its code there never loads what takes types out of it, 17 MB.
 *
 * The folder is one of the user alone, unlike Node's default in the folder of temporary files: who can write there decides what
 * runs.
 */
export function keepCompiledCode(): void {
  try {
    const folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'keyturn');
    enableCompileCache(folder);
    process.env['NODE_COMPILE_CACHE'] ??= folder;
  } catch {
    // A user without a home.
  }
}
