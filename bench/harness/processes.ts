import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import type { LoadJob, LoadResult } from './load.ts';

const bench = join(import.meta.dirname, '..');

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Runs a script of `bench/` until it has told its URL in a line of the given form. */
export async function startServer(
  script: string,
  args: readonly string[],
  form: RegExp,
  cwd = bench,
): Promise<Server> {
  const child = spawn(process.execPath, [join(bench, script), ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const url = form.exec(line)?.[1];
    if (url === undefined) continue;
    // Read on, so that what is printed later does not fill the pipe.
    child.stdout.resume();
    return { url, pid: child.pid ?? 0, stop };
  }
  throw new Error(`${script} did not start`);
}

/** What a script of `bench/` prints, as JSON. */
export async function runScript<Result>(
  script: string,
  args: readonly (string | number)[],
  input = '',
): Promise<Result> {
  const child: ChildProcess = spawn(process.execPath, [join(bench, script), ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin?.end(input);
  if (child.stdout === null) throw new Error('no pipe');
  const [result] = await Promise.all([json(child.stdout), once(child, 'exit')]);
  return result as Result;
}

export function load(job: LoadJob): Promise<LoadResult> {
  return runScript('harness/load.ts', [], JSON.stringify(job));
}
