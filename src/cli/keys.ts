import { Console } from 'node:console';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import { oauthPaths } from '../api/oauth/metadata.ts';
import type { AdminCredentials } from '../application/instance-set-up.ts';
import { serveOptions } from './settings.ts';

interface KeysSettings {
  readonly dataDir: string;
  readonly credentials?: string | undefined;
  readonly url?: string | undefined;
  readonly json?: true | undefined;
}

interface SigningKey {
  readonly id: string;
  readonly algorithm: string;
  readonly state: string;
  readonly creationDate: string;
  readonly signsFrom: string;
}

/** The request failed in a way that a person can mend. */
class KeysError extends Error {}

/** Adds `keyturn keys`: it asks the running service, as the admin or another user with the role IAM_OWNER. */
export function addKeysCommands(program: Command): void {
  const keys = program.command('keys').description('the keys that tokens are signed with');
  const commandOn = (name: string, description: string) =>
    keys
      .command(name)
      .description(description)
      .addOption(serveOptions.dataDir)
      .option(
        '--credentials <file>',
        'client id and secret (default: admin-credentials.json in the data dir)',
      )
      .option('--url <url>', 'where the service is (default: the issuer in the credentials)')
      .option('--json', 'print JSON');

  commandOn('list', 'show the keys that are published').action((settings) =>
    run(async () => {
      const { result = [] } = await ask<{ result?: SigningKey[] }>(settings, 'GET', '/signing-keys');
      print(settings, result);
    }),
  );
  commandOn('rotate', 'add a key, which signs in ten minutes, when every verifier can know it')
    .option(
      '--revoke-others',
      'a key was stolen: sign with the new one at once, and void all tokens of the others',
    )
    .action((settings) =>
      run(async () => {
        const body = { revokeOthers: settings.revokeOthers === true };
        const { key } = await ask<{ key: SigningKey }>(settings, 'POST', '/signing-keys/_rotate', body);
        print(settings, [key]);
      }),
    );
}

function print({ json }: KeysSettings, keys: readonly SigningKey[]): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(keys, null, 2)}\n`);
    return;
  }
  const rows = keys.map(({ id, algorithm, state, creationDate, signsFrom }) => {
    const name = state.replace('SIGNING_KEY_STATE_', '').toLowerCase();
    return [id, { algorithm, state: name, created: creationDate, 'signs from': signsFrom }];
  });
  new Console(process.stdout).table(Object.fromEntries(rows));
}

async function run(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    process.stderr.write(`keyturn: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** Calls keyturn.v1.SigningKeyService over REST. */
async function ask<Answer>(
  { dataDir, credentials = join(dataDir, 'admin-credentials.json'), url }: KeysSettings,
  method: string,
  path: string,
  body?: object,
): Promise<Answer> {
  const client = readCredentials(credentials);
  const service = url ?? client.issuer;
  const token = await request<{ access_token: string }>(service + oauthPaths.token, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: client.clientId,
      client_secret: client.clientSecret,
      scope: 'urn:zitadel:iam:org:project:id:zitadel:aud',
    }),
  });
  return request<Answer>(`${service}/keyturn/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token.access_token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

function readCredentials(file: string): AdminCredentials & { readonly issuer: string } {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as AdminCredentials & { readonly issuer: string };
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message;
    throw new KeysError(`the credentials in ${file} cannot be read: ${reason}`);
  }
}

async function request<Answer>(url: string, init: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw new KeysError(
      `no Keyturn answers at ${new URL(url).origin}: start it, or say where it is with --url`,
      {
        cause: error,
      },
    );
  }
  const answer = (await response.json()) as Answer & { message?: string; error_description?: string };
  if (response.ok) return answer;
  throw new KeysError(
    `${new URL(url).pathname} was refused with ${response.status}: ${answer.message ?? answer.error_description}`,
  );
}
