import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const variable = 'NODE_COMPILE_CACHE';
/** One of the user alone, unlike Node's default in the folder of temporary files: who can write there decides what runs. */
const folder = () => join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'keyturn');

/**
 * Keeps compiled code between runs: a third of the CPU time of a start is compiling. Where the folder cannot be written,
 * nothing is kept.
 *
 * Threads get it by the environment: one that finds all of its code there never loads what takes types out of it, 17 MB.
 */
export function keepCompiledCode() {
  try {
    enableCompileCache(folder());
    process.env[variable] ??= folder();
  } catch {
    // A user without a home.
  }
}

/**
 * The environment for other programs: their code is not Keyturn's to keep.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function environmentOfOthers() {
  const { [variable]: cache, ...environment } = process.env;
  return cache === undefined || cache === folder() ? environment : { ...environment, [variable]: cache };
}
