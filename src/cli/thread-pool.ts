import { availableParallelism } from 'node:os';

/** A look-up of a name must not wait for a hash: libuv gives such work half of its threads. */
const fewestThreads = 2;

/**
 * One thread of libuv's pool for each core, unless `UV_THREADPOOL_SIZE` says otherwise: secrets are hashed there. With more, the
 * thread that answers requests waits for its turn among them; with fewer, cores stay idle.
 *
 * The pool takes its size when it is first used, so this comes before anything is read from a file without waiting for it.
 */
export function sizeThreadPool(): void {
  process.env['UV_THREADPOOL_SIZE'] ??= String(Math.max(fewestThreads, availableParallelism()));
}
