import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { json, text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import pidusage from 'pidusage';

const bench = join(import.meta.dirname, '..');
/** In milliseconds: longer than a server takes to finish what it has under way. */
const stopPatience = 15_000;

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** None may outlive this process, however it ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/**
 * Runs a script of `bench/` until it has told its URL in a line of the given form. What it prints goes to a file, as under a
 * supervisor: a pipe would have this process wake up for each line, on the cores that are measured.
 *
 * @throws Error it ended before, with what it told on standard error
 */
export async function startServer(
  script: string,
  args: readonly string[],
  form: RegExp,
  cwd = bench,
  nodeOptions: readonly string[] = [],
): Promise<Server> {
  const output = unnamedFile();
  const child = spawn(process.execPath, [...nodeOptions, join(bench, script), ...args], {
    cwd,
    stdio: ['ignore', output, 'pipe'],
  });
  follow(child);
  const complaint = text(child.stderr as Readable);
  const beginning = Buffer.alloc(64 * 1024);
  try {
    while (child.exitCode === null && child.signalCode === null) {
      const length = readSync(output, beginning, { position: 0 });
      const url = form.exec(beginning.toString('utf8', 0, length))?.[1];
      if (url !== undefined) return { url, pid: child.pid ?? 0, stop: () => stop(child) };
      await delay(5);
    }
  } finally {
    closeSync(output);
  }
  throw new Error(`${script} did not start: ${await complaint}`);
}

/** Opened, and gone when the last process that has it open ends. */
function unnamedFile(): number {
  const file = join(tmpdir(), `keyturn-bench-${randomUUID()}.log`);
  const descriptor = openSync(file, 'wx+');
  unlinkSync(file);
  return descriptor;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), stopPatience);
  await exited;
  clearTimeout(late);
}

/**
 * What a script of `bench/` prints, as JSON.
 *
 * @throws Error it failed; what it told on standard error is seen there
 */
export async function runScript<Result>(
  script: string,
  args: readonly (string | number)[],
  input: unknown = null,
): Promise<Result> {
  const child = spawn(process.execPath, [join(bench, script), ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  follow(child);
  const exited = once(child, 'exit');
  child.stdin.on('error', () => {}).end(JSON.stringify(input));
  const [result] = await Promise.all([json(child.stdout).catch(() => undefined), exited]);
  if (child.exitCode !== 0) throw new Error(`${script} ${args.join(' ')} failed`);
  return result as Result;
}

/**
 * Asks a script of `bench/` that answers questions one by one (see `answering`). It is started for the first question and kept.
 *
 * @param instance of the script: two that are asked at the same time are two processes
 * @throws TypeError this one has not answered the last question yet
 * @throws Error it failed; what it told on standard error is seen there
 */
export async function ask<Answer>(script: string, question: object, instance = ''): Promise<Answer> {
  const asked = answererOf(script, instance);
  if (asked.listenerCount('message') > 0) throw new TypeError(`${script} is asked twice at a time`);
  const answered = new AbortController();
  const { signal } = answered;
  try {
    asked.send(question);
    const [answer] = await Promise.race([
      once(asked, 'message', { signal }),
      once(asked, 'exit', { signal }).then(() => {
        throw new Error(`${script} failed`);
      }),
    ]);
    return answer as Answer;
  } finally {
    answered.abort();
  }
}

const answerers = new Map<string, ChildProcess>();

function answererOf(script: string, instance: string): ChildProcess {
  const key = `${script} ${instance}`;
  const known = answerers.get(key);
  if (known !== undefined) return known;
  const started = fork(join(bench, script));
  answerers.set(key, started);
  follow(started);
  return started.once('exit', () => answerers.delete(key));
}

/** In a script that `ask` starts: answers each question. An error ends the script. */
export function answering<Question, Answer>(answer: (question: Question) => Promise<Answer>): void {
  process.on('message', async (question) => process.send?.(await answer(question as Question)));
}

function follow(child: ChildProcess): void {
  running.add(child);
  child.once('exit', () => running.delete(child));
}

/** In seconds: the CPU time that a process has taken in all its threads since it began. */
export async function cpuTimeOf(pid: number): Promise<number> {
  return (await pidusage(pid)).ctime / 1000;
}

/** In MB: what a process holds in memory now. */
export async function residentMemoryOf(pid: number): Promise<number> {
  return (await pidusage(pid)).memory / 1e6;
}
