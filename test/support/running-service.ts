import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { instance, instanceId } from '../../src/domain/aggregates.ts';
import { type Service, type ServiceConfig, type ServiceOptions, startService } from '../../src/service.ts';
import { context } from './application.ts';
import { temporaryFolder } from './temporary-folder.ts';

export const managementScope = 'openid urn:zitadel:iam:org:project:id:zitadel:aud';

export interface Admin {
  readonly organizationId: string;
  readonly userId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface RunningService {
  readonly service: Service;
  readonly url: string;
  readonly dataDir: string;
  /** The credentials that this service has saved when it set the instance up. */
  readonly admin: Admin;
  /** Gives a user a role in the whole instance. */
  addInstanceMember(userId: string, role: string): Promise<void>;
  /** All that was logged so far. */
  log(): string;
}

/** A whole service in this process: own port, own folder, closed when the test ends. */
export async function runningService(
  options: Partial<ServiceConfig> & Partial<ServiceOptions> = {},
): Promise<RunningService> {
  const dataDir = options.dataDir ?? temporaryFolder();
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const service = await startService(
    { host: '127.0.0.1', port: 0, bcryptCost: 4, ...options, dataDir },
    { logger, ...options },
  );
  onTestFinished(() => service.close());
  return {
    service,
    url: service.url,
    dataDir,
    get admin(): Admin {
      return JSON.parse(readFileSync(service.adminCredentialsFile, 'utf8'));
    },
    addInstanceMember: async (userId, role) => {
      const addMember = { type: 'AddMember', userId, roles: [role] } as const;
      await service.commands.execute(instance, instanceId, addMember, context);
    },
    log: () => lines.join(''),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is what the tests are about
  readonly body: any;
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

/** Asks the token endpoint by form post. */
export async function requestToken(
  url: string,
  clientId: string,
  clientSecret: string,
  scope = managementScope,
): Promise<Answer> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
    scope,
  });
  return answerOf(await fetch(`${url}/oauth/v2/token`, { method: 'POST', body }));
}

export async function adminToken({ url, admin }: RunningService): Promise<string> {
  return (await requestToken(url, admin.clientId, admin.clientSecret)).body.access_token;
}

export type CallManagement = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

/** Calls the management API as the holder of `token`. */
export function managementClient(url: string, token: string): CallManagement {
  return clientOf(`${url}/management/v1`, token);
}

/** The same for Keyturn's own API. */
export function keyturnClient(url: string, token: string): CallManagement {
  return clientOf(`${url}/keyturn/v1`, token);
}

function clientOf(base: string, token: string): CallManagement {
  return async (method, path, body, headers = {}) =>
    answerOf(
      await fetch(`${base}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    );
}

export interface Robot {
  readonly userId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Adds a machine user, with opaque access tokens unless `profile` says otherwise, and sets its secret. */
export async function addRobot(
  call: CallManagement,
  userName = 'robot',
  profile: { accessTokenType?: 'ACCESS_TOKEN_TYPE_JWT' } = {},
): Promise<Robot> {
  const added = await call('POST', '/users/machine', { userName, name: 'Robot', ...profile });
  const { userId } = added.body;
  const { body } = await call('PUT', `/users/${userId}/secret`, {});
  return { userId, clientId: body.clientId, clientSecret: body.clientSecret };
}
