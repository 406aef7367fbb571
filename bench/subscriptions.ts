import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openSqliteEventStore } from '../src/eventstore/sqlite/sqlite-event-store.ts';
import type { Measurement } from './harness/comparison.ts';
import type { ReadersJob, ReadersOpened, ReadersResult } from './harness/event-readers.ts';
import { serveKeyturn } from './harness/keyturn.ts';
import { type Server, startServer } from './harness/processes.ts';

/** A Keyturn with a log of many secrets set, and a bare route that sends as many events of the same size. */
export interface EventStreams {
  /** So many readers that each read the log from its begin: events a second to all of them together. */
  keyturn(readers: number, eventsEach: number): Measurement;
  bareRoute(readers: number, eventsEach: number): Measurement;
  stop(): Promise<void>;
}

export async function startEventStreams(events: number): Promise<EventStreams> {
  const keyturn = await startKeyturnWithHistory(events);
  const bare = await startServer('references/bare-sse-server.ts', [String(events)], /^(http\S+)$/m);
  const catchUp =
    (pid: number, job: Omit<ReadersJob, 'readers' | 'events'>) => (readers: number, eventsEach: number) => {
      return async () => {
        const before = cpuSeconds(pid);
        const result = await (await startReaders({ ...job, readers, events: eventsEach })).result;
        return {
          rate: result.events / result.seconds,
          cpuTimeEach: (cpuSeconds(pid) - before) / result.events,
          loadShare: result.loadShare,
        };
      };
    };
  const path = '/keyturn/v1/events?after=0&type=MachineSecretSet';
  return {
    keyturn: catchUp(keyturn.pid, { url: keyturn.url, path, authorization: keyturn.authorization }),
    bareRoute: catchUp(bare.pid, { url: bare.url, path: '/events', authorization: '' }),
    async stop() {
      await Promise.all([keyturn.stop(), bare.stop()]);
    },
  };
}

export interface KeyturnWithHistory extends Server {
  /** Of its first administrator. */
  readonly authorization: string;
}

/** Keyturn in a process of its own, as a user starts it but for the limit of streams. */
export async function startKeyturnWithHistory(events: number): Promise<KeyturnWithHistory> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
  await writeHistory(join(folder, 'data'), events);
  const server = await serveKeyturn(folder, ['--event-streams-per-user', '1000']);
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    scope: 'urn:zitadel:iam:org:project:id:zitadel:aud',
    client_id: admin.clientId,
    client_secret: admin.clientSecret,
  });
  const response = await fetch(`${server.url}/oauth/v2/token`, { method: 'POST', body });
  const { access_token: token } = (await response.json()) as { access_token: string };
  await untilIdle(server.pid);
  return {
    ...server,
    authorization: `Bearer ${token}`,
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** After a start there is work for a while, such as the tree over the log. */
async function untilIdle(pid: number): Promise<void> {
  let used = cpuSeconds(pid);
  do {
    await delay(500);
    const before = used;
    used = cpuSeconds(pid);
    if (used - before < 0.03) return;
  } while (used < 60);
}

/** That a process has used. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export interface Readers {
  readonly result: Promise<ReadersResult>;
  /** For those that read no given number of events. */
  finish(): void;
}

/** Resolves when all of them are connected. */
export async function startReaders(job: ReadersJob): Promise<Readers> {
  const child = fork(join(import.meta.dirname, 'harness/event-readers.ts'));
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: result, resolve, reject } = Promise.withResolvers<ReadersResult>();
  child.on('message', (message: ReadersOpened | ReadersResult) => {
    if (message.kind === 'opened') open();
    else resolve(message);
  });
  child.once('exit', (code) => reject(new Error(`the readers ended with ${code}`)));
  result.catch(() => {});
  child.send(job);
  await Promise.race([opened, result]);
  return { result, finish: () => child.send('finish') };
}

/** A machine user whose secret was set very often. */
async function writeHistory(dataDir: string, events: number): Promise<void> {
  mkdirSync(dataDir, { mode: 0o700 });
  const store = openSqliteEventStore({ file: join(dataDir, 'events.db') });
  const metadata = {
    schemaVersion: 1,
    occurredAt: new Date().toISOString(),
    editor: null,
    $correlationId: 'bench',
    $causationId: 'bench',
    previousHash: null,
  };
  const user = {
    organizationId: 'bench',
    userName: 'bench',
    name: 'Bench',
    description: '',
    accessTokenType: 'jwt',
  };
  const added = { id: randomUUID(), type: 'MachineUserAdded', data: user, metadata };
  await store.append('machineUser-bench', [added], 'no_stream');
  let replacedSecretIds: string[] = [];
  for (let written = 0; written < events; written += 1000) {
    const batch = Array.from({ length: Math.min(1000, events - written) }, () => {
      const data = { secretId: randomUUID(), hashedSecret: '$2b$04$hash', replacedSecretIds };
      replacedSecretIds = [data.secretId];
      return { id: randomUUID(), type: 'MachineSecretSet', data, metadata };
    });
    await store.append('machineUser-bench', batch, 'any');
  }
  await store.close();
}
