import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import writeFileAtomic from 'write-file-atomic';
import { environmentOfOthers } from './compile-cache.js';
import {
  reportingServiceErrors,
  ServiceClient,
  ServiceClientError,
  type ServiceClientSettings,
} from './service-client.ts';

export interface RotateSettings extends ServiceClientSettings {
  readonly user: string;
  readonly file?: string | undefined;
  /** A line for the shell. */
  readonly undo?: string | undefined;
  /** In seconds. */
  readonly wait: number;
}

interface Secret {
  readonly id: string;
  readonly firstUseDate?: string;
  readonly retirementDate?: string;
}

interface AddedSecret {
  readonly id: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** In milliseconds: how often it is asked whether the new secret has been used. */
const pollInterval = 500;

/**
 * Rotates the secret of a machine user without a moment in which a workload has none that works: adds one, hands it to `command`,
 * waits until it was used, and only then retires the others. Where that fails, or is interrupted, the workload gets its old one
 * back, and the new one ends.
 */
export async function rotate(command: readonly string[], settings: RotateSettings): Promise<void> {
  await reportingServiceErrors(async () => {
    const rotation = new Rotation(new ServiceClient(settings), settings.user);
    const stop = new AbortController();
    const interrupt = () => stop.abort(new ServiceClientError('interrupted'));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
    try {
      await rotation.run(command, settings, stop.signal);
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
    }
  });
}

class Rotation {
  readonly #client: ServiceClient;
  readonly #secrets: string;

  constructor(client: ServiceClient, userId: string) {
    this.#client = client;
    this.#secrets = `/keyturn/v1/users/${encodeURIComponent(userId)}/secrets`;
  }

  async run(
    command: readonly string[],
    { file, undo, wait }: RotateSettings,
    signal: AbortSignal,
  ): Promise<void> {
    const { result: old = [] } = await this.#client.call<{ result?: Secret[] }>('GET', this.#secrets);
    const added = await this.#client.call<AddedSecret>('POST', this.#secrets, {});
    tell(`added secret ${added.id}`);
    let replaced: ReplacedFile | undefined;
    try {
      if (file !== undefined) replaced = await replaceFile(file, added.clientSecret);
      await runCommand(command, added, file, signal);
      await this.#untilUsed(added.id, wait, signal);
    } catch (error) {
      try {
        await replaced?.restore();
        if (undo !== undefined) await runUndo(undo, added);
      } catch (undoError) {
        // The workload may have no other one.
        tell(`${(undoError as Error).message}: secret ${added.id} stays, beside those of before`);
        throw error;
      }
      await this.#cancel(added.id, old);
      throw error;
    }
    for (const { id } of old) await this.#retire(id);
  }

  async #untilUsed(secretId: string, wait: number, signal: AbortSignal): Promise<void> {
    tell('waiting until it is used');
    const deadline = performance.now() + wait * 1000;
    for (;;) {
      const isUsed = await this.#isUsed(secretId);
      if (isUsed === true) return;
      signal.throwIfAborted();
      if (performance.now() > deadline) {
        const reason = isUsed === false ? '' : `: ${isUsed.message}`;
        throw new ServiceClientError(`the new secret was not used within ${wait} seconds${reason}`);
      }
      await sleep(pollInterval, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  /** Or why that is not known now: a service that starts anew must not end a rotation. */
  async #isUsed(secretId: string): Promise<boolean | ServiceClientError> {
    try {
      const { secret } = await this.#client.call<{ secret: Secret }>('GET', `${this.#secrets}/${secretId}`);
      return secret.firstUseDate !== undefined;
    } catch (error) {
      if (error instanceof ServiceClientError) return error;
      throw error;
    }
  }

  async #cancel(secretId: string, old: readonly Secret[]): Promise<void> {
    const isOnly = old.every(({ retirementDate }) => retirementDate !== undefined);
    if (isOnly) {
      tell(`secret ${secretId} stays: the user has no other that does`);
      return;
    }
    await this.#retire(secretId);
    tell('cancelled: the secrets are those of before');
  }

  async #retire(secretId: string): Promise<void> {
    await this.#client.call('POST', `${this.#secrets}/${secretId}/_retire`, {});
    tell(`retired secret ${secretId}`);
  }
}

interface ReplacedFile {
  readonly restore: () => Promise<void>;
}

/** Readable by its owner only, and never half-written. */
async function replaceFile(file: string, secret: string): Promise<ReplacedFile> {
  const before = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new ServiceClientError(`${file} cannot be read: ${error.message}`);
  });
  await writeFileAtomic(file, secret, { mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    throw new ServiceClientError(`${file} cannot be written: ${error.message}`);
  });
  return {
    restore: () =>
      before === undefined ? rm(file, { force: true }) : writeFileAtomic(file, before, { mode: 0o600 }),
  };
}

/** The secret comes by standard input, or is in the file; never in the arguments or the environment, which others can see. */
async function runCommand(
  [program = '', ...args]: readonly string[],
  { id, clientId, clientSecret }: AddedSecret,
  file: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(program, args, {
    // What the command prints is for people: standard output stays free for scripts.
    stdio: ['pipe', 'inherit', 'inherit'],
    env: environmentOf({ id, clientId }),
    signal,
    killSignal: 'SIGTERM',
  });
  // A command need not read it.
  child.stdin.on('error', () => {});
  child.stdin.end(file === undefined ? clientSecret : '');
  try {
    const [status, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (status !== 0) throw new ServiceClientError(`${program} ended with ${status ?? killedBy}`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ServiceClientError) throw error;
    throw new ServiceClientError(`${program} cannot be run: ${(error as Error).message}`);
  }
}

/** Not ended by a signal: it is what an interrupted rotation is to end with. */
async function runUndo(line: string, added: AddedSecret): Promise<void> {
  const options = {
    shell: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environmentOf(added),
  } satisfies SpawnOptions;
  const [status, killedBy] = await once(spawn(line, options), 'close');
  if (status !== 0) throw new ServiceClientError(`${line} ended with ${status ?? killedBy}`);
}

function environmentOf({ id, clientId }: Pick<AddedSecret, 'id' | 'clientId'>): NodeJS.ProcessEnv {
  return { ...environmentOfOthers(), ROTATED_CLIENT_ID: clientId, ROTATED_SECRET_ID: id };
}

function tell(line: string): void {
  process.stderr.write(`keyturn: ${line}\n`);
}
