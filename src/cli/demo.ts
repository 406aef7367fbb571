import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { pino } from 'pino';
import { oauthPaths } from '../api/oauth/oauth-paths.ts';
import type { AdminCredentials } from '../application/instance-set-up.ts';
import { type Service, startService } from '../service.ts';

const managementScope = 'openid urn:zitadel:iam:org:project:id:zitadel:aud';
/** In characters: what is longer, an access token, is cut when it is shown. */
const longestShown = 80;

interface DemoRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
  readonly authorization?: string | undefined;
  readonly expectedStatus: number;
}

interface ClientCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/**
 * Walks through the main job on a throw-away instance, over real HTTP: prints each request, its answer, and the
 * events that it caused. Throws when an answer is not the expected one.
 */
export async function demo(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'keyturn-demo-'));
  const demonstration = new Demonstration(dataDir);
  try {
    await demonstration.run();
  } finally {
    await demonstration.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

class Demonstration {
  readonly #dataDir: string;
  #service: Service | undefined;
  #shownPosition = 0n;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  async run(): Promise<void> {
    const service = await this.#start();
    heading(`A throw-away instance listens on ${service.url}`);
    await this.#showEvents();

    heading('1. The admin gets an access token (HTTP Basic)');
    const admin = JSON.parse(readFileSync(service.adminCredentialsFile, 'utf8')) as AdminCredentials;
    const { access_token: adminToken } = await this.#signIn(admin, 'basic');

    heading('2. The admin adds a machine user');
    const robot = '{"userName":"robot","name":"Robot"}';
    const { userId } = await this.#manage<{ userId: string }>(adminToken, 'POST', '/users/machine', robot);

    heading("3. The admin sets the robot's secret");
    const first = await this.#setSecret(adminToken, userId);

    heading('4. The robot gets a token with it, by HTTP Basic and by form post');
    await this.#signIn(first, 'basic');
    await this.#signIn(first, 'form');

    heading('5. The admin sets the secret again: the old one is refused, the new one works');
    const second = await this.#setSecret(adminToken, userId);
    await this.#signIn(first, 'form', 401);
    await this.#signIn(second, 'form');

    heading('The same after a restart');
    await this.stop();
    await this.#start();
    await this.#signIn(first, 'form', 401);
    await this.#signIn(second, 'form');
    print(`\n${styleText('green', 'Done: every answer was the expected one.')}`);
  }

  async stop(): Promise<void> {
    await this.#service?.close();
    this.#service = undefined;
  }

  async #start(): Promise<Service> {
    this.#service = await startService(
      { host: '127.0.0.1', port: 0, dataDir: this.#dataDir, bcryptCost: 4 },
      { logger: pino({ level: 'silent' }) },
    );
    return this.#service;
  }

  async #signIn(client: ClientCredentials, by: 'basic' | 'form', expectedStatus = 200) {
    const { clientId, clientSecret } = client;
    const grant = { grant_type: 'client_credentials', scope: managementScope };
    const form = by === 'form' ? { ...grant, client_id: clientId, client_secret: clientSecret } : grant;
    const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64');
    return this.#request<{ access_token: string }>({
      method: 'POST',
      path: oauthPaths.token,
      contentType: 'application/x-www-form-urlencoded',
      body: String(new URLSearchParams(form)),
      authorization: by === 'basic' ? `Basic ${basic}` : undefined,
      expectedStatus,
    });
  }

  async #setSecret(token: string, userId: string): Promise<ClientCredentials> {
    return this.#manage<ClientCredentials>(token, 'PUT', `/users/${userId}/secret`, '{}');
  }

  async #manage<Answer>(token: string, method: string, path: string, body: string): Promise<Answer> {
    return this.#request<Answer>({
      method,
      path: `/management/v1${path}`,
      contentType: 'application/json',
      body,
      authorization: `Bearer ${token}`,
      expectedStatus: 200,
    });
  }

  async #request<Answer>({
    method,
    path,
    contentType,
    body,
    authorization,
    expectedStatus,
  }: DemoRequest): Promise<Answer> {
    print(`\n  ${styleText('bold', `${method} ${path}`)}`);
    if (authorization !== undefined) print(`  Authorization: ${shorten(authorization)}`);
    print(`  ${body}`);
    const headers = { 'content-type': contentType, ...(authorization !== undefined && { authorization }) };
    const response = await fetch(`${this.#service?.url}${path}`, { method, headers, body });
    const answer: unknown = await response.json();
    print(`  → ${response.status} ${JSON.stringify(answer, (_key, value) => shorten(value))}`);
    await this.#showEvents();
    if (response.status !== expectedStatus) {
      throw new Error(`${method} ${path} was answered with ${response.status}, expected ${expectedStatus}`);
    }
    return answer as Answer;
  }

  /** The events since the last time. */
  async #showEvents(): Promise<void> {
    const events = this.#service?.eventStore.readAll({ after: this.#shownPosition }) ?? [];
    for await (const { position, type, stream, revision } of events) {
      this.#shownPosition = position;
      print(styleText('cyan', `  event ${position}: ${type}, ${stream} at revision ${revision}`));
    }
  }
}

function shorten<Value>(value: Value): Value | string {
  return typeof value === 'string' && value.length > longestShown ? `${value.slice(0, 24)}…` : value;
}

function heading(text: string): void {
  print(`\n${styleText('bold', text)}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
