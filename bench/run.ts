import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import autocannon from 'autocannon';

/**
 * First figures: set secrets a second beside bare bcrypt, and client credentials grants a second. The server is a
 * process of its own; this one makes the load. Runs take turns, so that a noisy machine is noisy for all.
 */
const rounds = 5;
const secondsEach = 3;
const robots = 200;
const connections = 64;
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const managementScope = 'openid urn:zitadel:iam:org:project:id:zitadel:aud';

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
const main = join(import.meta.dirname, '../src/cli/main.ts');
const server = spawn(process.execPath, [main, 'serve', '--port', '0', '--log-level', 'info'], {
  cwd: folder,
  stdio: ['ignore', 'pipe', 'ignore'],
});
try {
  print(
    `Node ${process.version}, ${availableParallelism()} cores, ${rounds} rounds of ${secondsEach} s each`,
  );
  const url = await servingUrl();
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const { access_token: token } = await post(`${url}/oauth/v2/token`, form, grantBody(admin));
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const users: string[] = [];
  for (let index = 0; index < robots; index++) {
    const body = JSON.stringify({ userName: `robot-${index}`, name: 'Robot' });
    users.push((await post(`${url}/management/v1/users/machine`, headers, body))['userId'] ?? '');
  }
  const setSecret = users.map((id) => ({
    method: 'PUT' as const,
    path: `/management/v1/users/${id}/secret`,
    headers,
    body: '{}',
  }));

  const figures = { bcrypt: [] as number[], setSecret: [] as number[], grants: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    const bcrypt = await bareBcrypt();
    const puts = await load(url, setSecret);
    const grants = await load(url, await grantRequests(url, users, headers));
    // The first round warms up.
    if (round === 0) continue;
    figures.bcrypt.push(bcrypt);
    figures.setSecret.push(puts);
    figures.grants.push(grants);
  }
  const ratios = figures.setSecret.map((puts, round) => puts / (figures.bcrypt[round] ?? Number.NaN));
  print(`bare bcrypt, cost 4       ${spread(figures.bcrypt, 0)} hashes/s`);
  print(`PUT secret, durable       ${spread(figures.setSecret, 0)} requests/s`);
  print(`  of bare bcrypt          ${spread(ratios, 2)}`);
  print(`client credentials grants ${spread(figures.grants, 0)} grants/s`);
} finally {
  server.kill('SIGTERM');
  await once(server, 'exit');
  rmSync(folder, { recursive: true, force: true });
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

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<Record<string, string>> {
  const response = await fetch(url, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${url} was answered with ${response.status}`);
  return (await response.json()) as Record<string, string>;
}

function grantBody({ clientId, clientSecret }: { clientId: string; clientSecret: string }): string {
  const body = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret };
  return String(new URLSearchParams({ ...body, scope: managementScope }));
}

/** A grant for each user, with the secret that is valid now. */
async function grantRequests(url: string, users: readonly string[], headers: Record<string, string>) {
  return Promise.all(
    users.map(async (id) => {
      const response = await fetch(`${url}/management/v1/users/${id}/secret`, {
        method: 'PUT',
        headers,
        body: '{}',
      });
      const credentials = (await response.json()) as { clientId: string; clientSecret: string };
      return {
        method: 'POST' as const,
        path: '/oauth/v2/token',
        headers: form,
        body: grantBody(credentials),
      };
    }),
  );
}

async function load(url: string, requests: autocannon.Request[]): Promise<number> {
  const result = await autocannon({ url, connections, duration: secondsEach, requests });
  if (result.non2xx + result.errors > 0) {
    throw new Error(`${result.non2xx} answers were no success, ${result.errors} requests failed`);
  }
  return result['2xx'] / result.duration;
}

async function bareBcrypt(): Promise<number> {
  const script = join(import.meta.dirname, 'bare-bcrypt.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, String(secondsEach)]);
  return Number(stdout);
}

/** Median, and in brackets the least and the most. */
function spread(values: readonly number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [least = Number.NaN, median = Number.NaN, most = Number.NaN] = [
    sorted[0],
    sorted[Math.floor(sorted.length / 2)],
    sorted.at(-1),
  ];
  return `${median.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
