import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import autocannon from 'autocannon';

/**
 * Client credentials grants a second of Keyturn (secrets as bcrypt hashes, JWT or opaque tokens) and of `oidc-provider` (clear
 * secrets, in memory, JWTs), each a process of its own, with the distribution of latencies. Runs take turns, so that a noisy
 * machine is noisy for all; the ratio is taken within each round.
 */
const rounds = Number(process.argv[2] ?? 5);
const secondsEach = Number(process.argv[3] ?? 4);
const robots = 200;
const connections = 64;
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const percentiles = ['p50', 'p90', 'p97_5', 'p99', 'p99_9'] as const;

interface Contender {
  readonly name: string;
  readonly url: string;
  readonly requests: autocannon.Request[];
  readonly results: autocannon.Result[];
}

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const keyturn = start(['../src/cli/main.ts', 'serve', '--port', '0']);
const peer = start(['references/oidc-provider-server.ts', String(robots)]);
try {
  const keyturnUrl = await lineOf(keyturn.stdout, /"url":"(http[^"]+)".*"msg":"serving"/);
  const peerUrl = await lineOf(peer.stdout, /^(http\S+)$/);
  const { jwt, opaque } = await addRobots(keyturnUrl);
  const peerClients = Array.from({ length: robots }, (_, index) => ({
    clientId: `robot-${index}`,
    clientSecret: `secret-of-robot-${index}`,
  }));
  const contenders: Contender[] = [
    { name: 'Keyturn, JWT', url: keyturnUrl, requests: jwt.map(grantAt('/oauth/v2/token')), results: [] },
    {
      name: 'Keyturn, opaque',
      url: keyturnUrl,
      requests: opaque.map(grantAt('/oauth/v2/token')),
      results: [],
    },
    { name: 'oidc-provider, JWT', url: peerUrl, requests: peerClients.map(grantAt('/token')), results: [] },
  ];
  for (let round = 0; round <= rounds; round++) {
    for (const { url, requests, results } of contenders) {
      const result = await autocannon({ url, connections, duration: secondsEach, requests });
      if (result.non2xx + result.errors > 0) {
        throw new Error(`${url}: ${result.non2xx} answers were no success, ${result.errors} requests failed`);
      }
      // The first round warms up.
      if (round > 0) results.push(result);
    }
  }
  print(
    `Node ${process.version}, ${availableParallelism()} cores, ${connections} connections, ${robots} clients,`,
  );
  print(
    `${rounds} rounds of ${secondsEach} s each, the load from a process of its own; median (least to most)\n`,
  );
  const peerRates = contenders.at(-1)?.results.map(rateOf) ?? [];
  for (const { name, results } of contenders) {
    const rates = results.map(rateOf);
    const ratios = rates.map((rate, round) => rate / (peerRates[round] ?? Number.NaN));
    const latency = percentiles.map(
      (name) => `${name.replace('_', '.')} ${median(results.map((one) => one.latency[name]))}`,
    );
    print(`${name.padEnd(20)} ${spread(rates, 0)} grants/s, ${spread(ratios, 2)} of oidc-provider`);
    print(`${''.padEnd(20)} latency in ms: ${latency.join(', ')}`);
  }
} finally {
  for (const { process } of [keyturn, peer]) {
    process.kill('SIGTERM');
    if (process.exitCode === null) await once(process, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}

function start([script = '', ...args]: string[]) {
  const process_ = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { process: process_, stdout: process_.stdout };
}

async function lineOf(stdout: Readable, form: RegExp): Promise<string> {
  for await (const line of createInterface({ input: stdout })) {
    const match = form.exec(line)?.[1];
    if (match === undefined) continue;
    // Read on, so that what is printed later does not fill the pipe.
    stdout.resume();
    return match;
  }
  throw new Error('a server did not start');
}

interface Client {
  readonly clientId: string;
  readonly clientSecret: string;
}

function grantAt(path: string) {
  return ({ clientId, clientSecret }: Client): autocannon.Request => ({
    method: 'POST',
    path,
    headers: form,
    body: String(
      new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: clientSecret,
        scope: 'profile',
      }),
    ),
  });
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

function rateOf(result: autocannon.Result): number {
  return result['2xx'] / result.duration;
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
