import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

const main = join(import.meta.dirname, '../../src/cli/main.js');

/** The `keyturn` command in a process of its own, in `cwd` and with no setting from outside. Killed when the test ends. */
export function startKeyturn(
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('KEYTURN_'));
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...environment },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runKeyturn(...start: Parameters<typeof startKeyturn>): Promise<Ended> {
  return ended(startKeyturn(...start));
}

async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [[status, signal], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, signal, stdout, stderr };
}

export interface ServingKeyturn {
  readonly process: ChildProcessWithoutNullStreams;
  readonly url: string;
  /** All that it has written so far, to both outputs. */
  output(): string;
  readonly ended: Promise<Ended>;
}

/** `keyturn serve` on a free port, once it serves. */
export async function serveKeyturn(
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<ServingKeyturn> {
  const child = startKeyturn(['serve', '--port', '0'], cwd, environment);
  let output = '';
  const serving = Promise.withResolvers<string>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
      const url = /"url":"(http[^"]+)".*"msg":"serving"/.exec(output)?.[1];
      if (url !== undefined) serving.resolve(url);
    });
  }
  child.once('close', (status) => serving.reject(new Error(`keyturn ended with ${status}: ${output}`)));
  const url = await serving.promise;
  return { process: child, url, output: () => output, ended: ended(child) };
}
