import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism, getPriority, setPriority } from 'node:os';

/** A look-up of a name must not wait for a hash: libuv gives such work half of its threads. */
const fewestThreads = 2;

/** In values of `nice`: of a core that the two compete for, a thread that hashes gets a quarter, and the one that answers the rest. */
const stepDown = 5;
const lowestPriority = 19;

/**
 * One thread of libuv's pool for each core, unless `UV_THREADPOOL_SIZE` says otherwise: secrets are hashed there. With more, the
 * thread that answers requests waits for its turn among them; with fewer, cores stay idle.
 *
 * The pool takes its size when it is first used, so this comes before anything is read from a file without waiting for it.
 */
export function sizeThreadPool(): void {
  process.env['UV_THREADPOOL_SIZE'] ??= String(Math.max(fewestThreads, availableParallelism()));
}

/**
 * Has the threads of libuv's pool leave the cores to the thread that answers requests whenever that has something to do. Linux alone
 * has priorities of threads: elsewhere nothing changes, nor where the system forbids it.
 */
export async function lowerThreadPool(): Promise<void> {
  // To read a folder takes a thread of the pool: after that there are all of them.
  for (const thread of await readdir('/proc/self/task').catch(() => [])) {
    const name = await readFile(`/proc/self/task/${thread}/comm`, 'utf8').catch(() => '');
    if (name.trim() === 'libuv-worker') lower(Number(thread));
  }
}

function lower(thread: number): void {
  try {
    setPriority(thread, Math.min(getPriority() + stepDown, lowestPriority));
  } catch {
    // It hashes as before.
  }
}
