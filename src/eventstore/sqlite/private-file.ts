import { closeSync, openSync } from 'node:fs';

/**
 * Makes an empty file that only its owner may read, if there is none. SQLite gives its companion files the same mode.
 *
 * A file that exists is not even opened: closing it would drop the locks that this process holds on it (POSIX).
 */
export function createPrivateFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
