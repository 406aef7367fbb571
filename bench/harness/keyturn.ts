import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type autocannon from 'autocannon';
import { startServer } from './processes.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const managementScope = 'urn:zitadel:iam:org:project:id:zitadel:aud';
/** How many requests set the users up at a time. */
const atOnce = 64;

interface Client {
  readonly userId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** A Keyturn of its own process and data, as a user starts it, with machine users that have a secret. */
export interface Keyturn {
  readonly url: string;
  readonly setSecrets: autocannon.Request[];
  readonly grants: autocannon.Request[];
  /** Introspections of one token, each by another client. */
  introspections(): Promise<autocannon.Request[]>;
  stop(): Promise<void>;
}

export async function startKeyturn({
  users,
  bcryptCost,
}: {
  users: number;
  bcryptCost: number;
}): Promise<Keyturn> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'));
  const args = ['serve', '--port', '0', '--bcrypt-cost', String(bcryptCost)];
  const server = await startServer(
    '../src/cli/main.ts',
    args,
    /"url":"(http[^"]+)".*"msg":"serving"/,
    folder,
  );
  const { url } = server;
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8')) as Client;
  const token = await tokenOf(url, admin, managementScope);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const management = `${url}/management/v1/users`;
  const clients: Client[] = [];
  const addUsers = async () => {
    for (let index = clients.length; clients.length < users; index = clients.length) {
      const place = clients.push({ userId: '', clientId: '', clientSecret: '' }) - 1;
      const user = { userName: `robot-${index}`, name: 'Robot', accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' };
      const added = await call('POST', `${management}/machine`, headers, JSON.stringify(user));
      const userId = String(added['userId']);
      const set = await call('PUT', `${management}/${userId}/secret`, headers, '{}');
      clients[place] = {
        userId,
        clientId: String(set['clientId']),
        clientSecret: String(set['clientSecret']),
      };
    }
  };
  await Promise.all(Array.from({ length: atOnce }, addUsers));
  return {
    url,
    setSecrets: clients.map(({ userId }) => ({
      method: 'PUT',
      path: `/management/v1/users/${userId}/secret`,
      headers,
      body: '{}',
    })),
    grants: clients.map((client) => formRequest('/oauth/v2/token', grantOf(client, 'profile'))),
    async introspections() {
      const [first] = clients;
      if (first === undefined) throw new Error('there are no users');
      const token = await tokenOf(url, first, 'profile');
      return clients.map(({ clientId, clientSecret }) =>
        formRequest('/oauth/v2/introspect', { client_id: clientId, client_secret: clientSecret, token }),
      );
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function formRequest(path: string, parameters: Record<string, string>): autocannon.Request {
  return { method: 'POST', path, headers: form, body: String(new URLSearchParams(parameters)) };
}

function grantOf({ clientId, clientSecret }: Pick<Client, 'clientId' | 'clientSecret'>, scope: string) {
  return { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope };
}

async function tokenOf(url: string, client: Client, scope: string): Promise<string> {
  const body = String(new URLSearchParams(grantOf(client, scope)));
  return String((await call('POST', `${url}/oauth/v2/token`, form, body))['access_token']);
}

async function call(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<Record<string, unknown>> {
  const response = await fetch(url, { method, headers, body });
  if (!response.ok) throw new Error(`${url} was answered with ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}
