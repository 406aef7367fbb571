import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, get, type IncomingMessage, request } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { openSqliteEventStore } from '../src/eventstore/sqlite/sqlite-event-store.ts';

/**
 * Server-sent events: how long after the answer to a PUT secret its event arrives, with many open streams; how fast
 * one reader catches up; and what a reader that does not read costs in memory. The server is a process of its own.
 */
const streams = 100;
const changesPerSecond = Number(process.argv[2] ?? 1000);
const seconds = 10;
const robots = 200;

/** In the log before the server starts: far more than it keeps in memory. */
const history = 100_000;

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
await writeHistory(join(folder, 'data'));
const main = join(import.meta.dirname, '../src/cli/main.ts');
const options = ['serve', '--port', '0', '--log-level', 'info', '--event-streams-per-user', '1000'];
const server = spawn(process.execPath, [main, ...options], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'ignore'],
});
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
try {
  print(
    `Node ${process.version}, ${availableParallelism()} cores, ${streams} streams, ${changesPerSecond} changes/s asked for`,
  );
  const url = await servingUrl();
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const scope = 'openid urn:zitadel:iam:org:project:id:zitadel:aud';
  const credentials = { client_id: admin.clientId, client_secret: admin.clientSecret };
  const form = String(new URLSearchParams({ grant_type: 'client_credentials', scope, ...credentials }));
  const signedIn = await call(`${url}/oauth/v2/token`, 'POST', form, 'application/x-www-form-urlencoded');
  const authorization = `Bearer ${signedIn['access_token']}`;
  const users: string[] = [];
  for (let index = 0; index < robots; index++) {
    const body = JSON.stringify({ userName: `robot-${index}`, name: 'Robot' });
    const added = await call(
      `${url}/management/v1/users/machine`,
      'POST',
      body,
      'application/json',
      authorization,
    );
    users.push(String(added['userId']));
  }

  const answeredAt = new Map<string, number>();
  const arrivedAt = new Map<string, number>();
  const measured = await open('?type=MachineSecretSet');
  let rest = '';
  measured.setEncoding('utf8').on('data', (text: string) => {
    const now = performance.now();
    const messages = (rest + text).split('\n\n');
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const change = /"subject":"machineUser-(\d+)".*"streamversion":"(\d+)"/.exec(message);
      if (change !== null) arrivedAt.set(`${change[1]}/${change[2]}`, now);
    }
  });
  for (let count = 1; count < streams; count++) (await open('')).resume();

  const setSecret = async (userId: string) => {
    const path = `${url}/management/v1/users/${userId}/secret`;
    const { details } = (await call(path, 'PUT', '{}', 'application/json', authorization)) as {
      details: { sequence: string };
    };
    answeredAt.set(`${userId}/${details.sequence}`, performance.now());
  };
  const begin = performance.now();
  const under: Promise<void>[] = [];
  for (let made = 0; performance.now() - begin < seconds * 1000; ) {
    const due = Math.min(((performance.now() - begin) / 1000) * changesPerSecond, answeredAt.size + 256);
    for (; made < due; made++) under.push(setSecret(users[made % robots] ?? ''));
    await delay(1);
  }
  await Promise.all(under);
  const took = (performance.now() - begin) / 1000;
  await delay(500);
  const latencies = [...answeredAt].map(([change, at]) =>
    Math.max(0, (arrivedAt.get(change) ?? Number.NaN) - at),
  );
  latencies.sort((a, b) => a - b);
  const quantile = (share: number) => latencies[Math.floor(latencies.length * share)]?.toFixed(1);
  print(
    `changes answered          ${(answeredAt.size / took).toFixed(0)}/s, ${answeredAt.size - arrivedAt.size} not arrived`,
  );
  print(
    `answer to event           p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, most ${quantile(0.9999)} ms`,
  );

  const catchUpBegin = performance.now();
  const reader = await open('?after=0&type=MachineSecretSet');
  let read = 0;
  for await (const chunk of reader.setEncoding('utf8')) {
    read += (chunk as string).split('"specversion"').length - 1;
    if (read >= history) break;
  }
  print(
    `catch-up of one reader    ${(read / ((performance.now() - catchUpBegin) / 1000)).toFixed(0)} events/s`,
  );

  const before = residentMegabytes();
  const stalled = await Promise.all(Array.from({ length: 20 }, () => open('?after=0')));
  for (const one of stalled) one.pause();
  await delay(5000);
  print(`20 readers that stand     ${before} MB before, ${residentMegabytes()} MB after 5 s`);

  async function open(query: string): Promise<IncomingMessage> {
    const opened = get(`${url}/keyturn/v1/events${query}`, { headers: { authorization }, agent: false });
    const [response] = (await once(opened, 'response')) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error(`the stream was answered with ${response.statusCode}`);
    return response.on('error', () => {});
  }
} finally {
  server.kill('SIGKILL');
  await once(server, 'exit');
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();

/** A machine user whose secret was set very often. */
async function writeHistory(dataDir: string): Promise<void> {
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
  for (let written = 0; written < history; written += 1000) {
    const events = Array.from({ length: 1000 }, () => {
      const data = { secretId: randomUUID(), hashedSecret: '$2b$04$hash', replacedSecretIds };
      replacedSecretIds = [data.secretId];
      return { id: randomUUID(), type: 'MachineSecretSet', data, metadata };
    });
    await store.append('machineUser-bench', events, 'any');
  }
  await store.close();
}

function residentMegabytes(): number {
  const [, pages] = readFileSync(`/proc/${server.pid}/statm`, 'utf8').split(' ').map(Number);
  return Math.round(((pages ?? 0) * 4096) / 1e6);
}

async function servingUrl(): Promise<string> {
  for await (const line of createInterface({ input: server.stdout })) {
    const { msg, url } = JSON.parse(line) as { msg: string; url: string };
    if (msg !== 'serving') continue;
    // Read on, so that the server's log does not fill the pipe.
    server.stdout.resume();
    return url;
  }
  throw new Error('the server did not start');
}

async function call(
  url: string,
  method: string,
  body: string,
  contentType: string,
  authorization = '',
): Promise<Record<string, unknown>> {
  const headers = {
    'content-type': contentType,
    'content-length': body.length,
    ...(authorization && { authorization }),
  };
  const sent = request(url, { method, agent, headers });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  if (response.statusCode !== 200) throw new Error(`${url} was answered with ${response.statusCode}`);
  return JSON.parse(text) as Record<string, unknown>;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
