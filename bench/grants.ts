import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import pidusage from 'pidusage';
import type { GrantsJob, GrantsResult } from './grants-load.ts';
import { serveKeyturn } from './harness/keyturn.ts';
import { type Server, startServer } from './harness/processes.ts';

/**
 * Client credentials grants a second of Keyturn (secrets as bcrypt hashes, JWT or opaque tokens), of `oidc-provider` (clear
 * secrets, in memory, JWTs) and of a bare Fastify route that signs the same JWT and knows nobody, with the distribution of
 * latencies. Servers and load are processes of their own. Runs take turns, so that a noisy machine is noisy for all; ratios
 * are taken within each round, by the clock and for each second of CPU time that the server took.
 *
 *     node bench/grants.ts [rounds] [seconds of each run]
 */
const rounds = Number(process.argv[2] ?? 5);
const secondsEach = Number(process.argv[3] ?? 4);
const robots = 200;
const connections = 64;
const form = { 'content-type': 'application/x-www-form-urlencoded' };

interface Contender extends Pick<GrantsJob, 'path' | 'forms'> {
  readonly name: string;
  readonly server: Server;
  readonly runs: Run[];
}

interface Run extends GrantsResult {
  /** Grants for each second of CPU time of the server. */
  readonly perCpuSecond: number;
  /** Of one core. */
  readonly serverShare: number;
}

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const started: Server[] = [];
const start = async (starting: Promise<Server>) => {
  const one = await starting;
  started.push(one);
  return one;
};
try {
  const keyturn = await start(serveKeyturn(folder));
  const bare = await start(startServer('references/bare-fastify-server.ts', [], /^(http\S+)$/m));
  const peer = await start(
    startServer('references/oidc-provider-server.ts', [String(robots)], /^(http\S+)$/m),
  );
  const { jwt, opaque } = await addRobots(keyturn.url);
  const peerForms = Array.from({ length: robots }, (_, index) =>
    grantOf({ clientId: `robot-${index}`, clientSecret: `secret-of-robot-${index}` }),
  );
  const keyturnPath = '/oauth/v2/token';
  const reference: Contender = {
    name: 'oidc-provider, JWT',
    server: peer,
    path: '/token',
    forms: peerForms,
    runs: [],
  };
  const contenders: Contender[] = [
    { name: 'Keyturn, JWT', server: keyturn, path: keyturnPath, forms: jwt.map(grantOf), runs: [] },
    { name: 'Keyturn, opaque', server: keyturn, path: keyturnPath, forms: opaque.map(grantOf), runs: [] },
    { name: 'bare Fastify, JWT', server: bare, path: '/token', forms: peerForms, runs: [] },
    reference,
  ];
  for (let round = 0; round <= rounds; round++) {
    for (const contender of contenders) {
      const run = await drive(contender);
      // The first round warms up.
      if (round > 0) contender.runs.push(run);
    }
  }
  print(
    `Node ${process.version}, ${availableParallelism()} cores, ${connections} connections, ${robots} clients,`,
  );
  print(`${rounds} rounds of ${secondsEach} s each; median (least to most)\n`);
  for (const { name, runs } of contenders) {
    const [byClock, byCpu] = (['rate', 'perCpuSecond'] as const).map((measure) =>
      spread(
        runs.map((run, round) => run[measure] / (reference.runs[round]?.[measure] ?? Number.NaN)),
        2,
      ),
    );
    const shareOf = (share: 'serverShare' | 'loadShare') => median(runs.map((run) => run[share])).toFixed(2);
    const latency = (['p50', 'p90', 'p97.5', 'p99', 'p99.9', 'max'] as const).map(
      (name) => `${name} ${median(runs.map((run) => run.latency[name])).toFixed(1)}`,
    );
    print(
      `${name.padEnd(18)} ${spread(
        runs.map(({ rate }) => rate),
        0,
      )} grants/s, ${byClock} of oidc-provider`,
    );
    print(
      `${''.padEnd(18)} ${spread(
        runs.map(({ perCpuSecond }) => perCpuSecond),
        0,
      )} grants a second of CPU, ${byCpu} of it`,
    );
    print(`${''.padEnd(18)} cores: server ${shareOf('serverShare')}, load ${shareOf('loadShare')}`);
    print(`${''.padEnd(18)} latency in ms: ${latency.join(', ')}`);
  }
} finally {
  await Promise.all(started.map((one) => one.stop()));
  rmSync(folder, { recursive: true, force: true });
}

async function drive({ server, path, forms }: Contender): Promise<Run> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'grants-load.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const before = await cpuSecondsOf(server);
  child.stdin.end(
    JSON.stringify({
      ...{ url: server.url, path, forms, connections },
      seconds: secondsEach,
    } satisfies GrantsJob),
  );
  const result = (await json(child.stdout)) as GrantsResult;
  const used = (await cpuSecondsOf(server)) - before;
  return {
    ...result,
    perCpuSecond: (result.rate * secondsEach) / used,
    serverShare: used / secondsEach,
  };
}

async function cpuSecondsOf({ pid }: Server): Promise<number> {
  return (await pidusage(pid)).ctime / 1000;
}

interface Client {
  readonly clientId: string;
  readonly clientSecret: string;
}

function grantOf({ clientId, clientSecret }: Client): string {
  return String(
    new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
      scope: 'profile',
    }),
  );
}

async function addRobots(url: string): Promise<{ jwt: Client[]; opaque: Client[] }> {
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8')) as Client;
  const scope = 'urn:zitadel:iam:org:project:id:zitadel:aud';
  const body = {
    grant_type: 'client_credentials',
    client_id: admin.clientId,
    client_secret: admin.clientSecret,
    scope,
  };
  const { access_token } = await call<{ access_token: string }>(
    'POST',
    `${url}/oauth/v2/token`,
    form,
    String(new URLSearchParams(body)),
  );
  const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' };
  const users = `${url}/management/v1/users`;
  const add = async (userName: string, accessTokenType: string) => {
    const user = JSON.stringify({ userName, name: 'Robot', accessTokenType });
    const { userId } = await call<{ userId: string }>('POST', `${users}/machine`, headers, user);
    return call<Client>('PUT', `${users}/${userId}/secret`, headers, '{}');
  };
  const many = (kind: string, type: string) =>
    Promise.all(Array.from({ length: robots }, (_, index) => add(`${kind}-${index}`, type)));
  return {
    jwt: await many('jwt', 'ACCESS_TOKEN_TYPE_JWT'),
    opaque: await many('opaque', 'ACCESS_TOKEN_TYPE_BEARER'),
  };
}

async function call<Answer>(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<Answer> {
  const response = await fetch(url, { method, headers, body });
  if (!response.ok) throw new Error(`${url} was answered with ${response.status}`);
  return (await response.json()) as Answer;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Median, and in brackets the least and the most. */
function spread(values: readonly number[], digits: number): string {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)];
  return `${middle.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
