import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import type { HttpRequest } from './load.ts';
import { runScript, type Server, startServer } from './processes.ts';
import type { Client, Seed, SeedJob } from './seed.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const managementScope = 'urn:zitadel:iam:org:project:id:zitadel:aud';
const serving = /"url":"(http[^"]+)".*"msg":"serving"/;

/** A Keyturn of its own process and data, as a user starts it. */
export interface Keyturn extends Server {
  /** An access token that may do everything. */
  readonly token: string;
  /** Machine users whose secret is known. */
  readonly clients: Readonly<Record<string, readonly Client[]>>;
  /** Stops it and starts it again with the same data. In seconds: how long until it was ready. */
  restart(): Promise<{ readonly keyturn: Keyturn; readonly seconds: number }>;
}

export interface KeyturnOptions {
  readonly seeds: readonly Seed[];
  /** Settings of `keyturn serve` beside the defaults. */
  readonly settings?: readonly string[];
}

export async function startKeyturn({ seeds, settings = [] }: KeyturnOptions): Promise<Keyturn> {
  const folder = temporaryFolder();
  cpSync(await setUpFolder(), folder, { recursive: true });
  const dataDir = join(folder, 'data');
  const admin = JSON.parse(readFileSync(join(dataDir, 'admin-credentials.json'), 'utf8')) as Client & {
    organizationId: string;
  };
  const job: SeedJob = { dataDir, organizationId: admin.organizationId, seeds };
  const clients = await runScript<Keyturn['clients']>('harness/seed.ts', [], job);

  const running = async (server: Server): Promise<Keyturn> => ({
    ...server,
    clients,
    token: await tokenOf(server.url, admin, managementScope),
    async restart() {
      await server.stop();
      const begin = performance.now();
      const started = await serveKeyturn(folder, settings);
      const seconds = (performance.now() - begin) / 1000;
      return { keyturn: await running(started), seconds };
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  });
  return running(await serveKeyturn(folder, settings));
}

let folderSetUp: Promise<string> | undefined;

/** Where Keyturn has set its instance up, for copies. */
function setUpFolder(): Promise<string> {
  folderSetUp ??= (async () => {
    const folder = temporaryFolder();
    await (await serveKeyturn(folder)).stop();
    return folder;
  })();
  return folderSetUp;
}

/** `npm start` on a free port, in a working directory of its own. */
export function serveKeyturn(folder: string, settings: readonly string[] = []): Promise<Server> {
  const [, ...words] = packageJson.scripts.start.split(' ');
  const nodeOptions = words.filter((word) => word.startsWith('--'));
  const args = ['serve', '--port', '0', ...settings];
  return startServer('../src/cli/main.js', args, serving, folder, nodeOptions);
}

const temporaryFolders: string[] = [];
process.once('exit', () => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true });
});

/** Gone when this process ends, at the latest. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
  temporaryFolders.push(folder);
  return folder;
}

export function setSecretRequests(
  { token }: Pick<Keyturn, 'token'>,
  clients: readonly Client[],
): HttpRequest[] {
  const headers = jsonHeaders(token);
  return clients.map(({ userId }) => ({
    method: 'PUT',
    path: `/management/v1/users/${userId}/secret`,
    headers,
    body: '{}',
  }));
}

/** Changes of users, of whom all take turns. None changes nothing, in whatever order they are sent. */
export function changeRequests(
  { token }: Pick<Keyturn, 'token'>,
  clients: readonly Client[],
  count: number,
): HttpRequest[] {
  const headers = jsonHeaders(token);
  return Array.from({ length: count }, (_, index) => ({
    method: 'PUT',
    path: `/management/v1/users/${clients[index % clients.length]?.userId}/machine`,
    headers,
    body: JSON.stringify({ name: 'Robot', description: `change ${index}` }),
  }));
}

function jsonHeaders(token: string): HttpRequest['headers'] {
  return { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
}

export function grantRequests(clients: readonly Client[]): HttpRequest[] {
  return clients.map((client) => formRequest('/oauth/v2/token', grantOf(client, 'profile')));
}

/** Introspections of a token of the first of the clients, each by another client. */
export async function introspectionRequests(url: string, clients: readonly Client[]): Promise<HttpRequest[]> {
  const [first] = clients;
  if (first === undefined) throw new Error('there are no clients');
  const token = await tokenOf(url, first, 'profile');
  return clients.map(({ clientId, clientSecret }) =>
    formRequest('/oauth/v2/introspect', { client_id: clientId, client_secret: clientSecret, token }),
  );
}

export function formRequest(
  path: string,
  parameters: Record<string, string>,
  headers: Record<string, string> = {},
): HttpRequest {
  const body = String(new URLSearchParams(parameters));
  return { method: 'POST', path, headers: { ...form, ...headers }, body };
}

export function grantOf(
  { clientId, clientSecret }: Pick<Client, 'clientId' | 'clientSecret'>,
  scope: string,
) {
  return { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope };
}

async function tokenOf(url: string, client: Client, scope: string): Promise<string> {
  const { path, ...request } = formRequest('/oauth/v2/token', grantOf(client, scope));
  const response = await fetch(url + path, request);
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`);
  return String(((await response.json()) as Record<string, unknown>)['access_token']);
}
