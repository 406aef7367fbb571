import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import { oauthPaths } from '../api/oauth/oauth-paths.ts';
import type { AdminCredentials } from '../application/instance-set-up.ts';
import { serveOptions } from './settings.ts';

export interface ServiceClientSettings {
  readonly dataDir: string;
  readonly credentials?: string | undefined;
  readonly url?: string | undefined;
}

/** A request failed in a way that a person can mend. The message says how. */
export class ServiceClientError extends Error {}

interface Credentials extends Pick<AdminCredentials, 'clientId' | 'clientSecret'> {
  readonly issuer?: string;
}

/** In milliseconds: a token is renewed that would end within this time. */
const renewal = 30_000;

/** Calls the API of a running service as the user whose credentials are in a file. */
export class ServiceClient {
  readonly #credentials: Credentials;
  readonly #url: string;
  #token: { readonly value: string; readonly endsAt: number } | undefined;

  /** @throws ServiceClientError the credentials cannot be read */
  constructor({
    dataDir,
    credentials = join(dataDir, 'admin-credentials.json'),
    url,
  }: ServiceClientSettings) {
    this.#credentials = readCredentials(credentials);
    const service = url ?? this.#credentials.issuer;
    if (service === undefined) throw new ServiceClientError(`${credentials} has no issuer: give a --url`);
    this.#url = service;
  }

  /**
   * @param path from the root, such as `/keyturn/v1/signing-keys`
   * @throws ServiceClientError nobody answers, or the request is refused
   */
  async call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    return request<Answer>(this.#url + path, {
      method,
      headers: { authorization: `Bearer ${await this.#accessToken()}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async #accessToken(): Promise<string> {
    if (this.#token === undefined || this.#token.endsAt - renewal < performance.now()) {
      const { clientId, clientSecret } = this.#credentials;
      const answer = await request<{ access_token: string; expires_in: number }>(
        this.#url + oauthPaths.token,
        {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_id: clientId,
            client_secret: clientSecret,
            scope: 'urn:zitadel:iam:org:project:id:zitadel:aud',
          }),
        },
      );
      this.#token = { value: answer.access_token, endsAt: performance.now() + answer.expires_in * 1000 };
    }
    return this.#token.value;
  }
}

/** Adds the options of {@link ServiceClientSettings}. */
export function withServiceOptions(command: Command) {
  return command
    .addOption(serveOptions.dataDir)
    .option('--credentials <file>', 'client id and secret (default: admin-credentials.json in the data dir)')
    .option('--url <url>', 'where the service is (default: the issuer in the credentials)');
}

/** Tells an error that a person can mend in one line, with status 1. */
export async function reportingServiceErrors(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ServiceClientError)) throw error;
    process.stderr.write(`keyturn: ${error.message}\n`);
    process.exitCode = 1;
  }
}

function readCredentials(file: string): Credentials {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Credentials;
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message;
    throw new ServiceClientError(`the credentials in ${file} cannot be read: ${reason}`);
  }
}

async function request<Answer>(url: string, init: RequestInit): Promise<Answer> {
  const target = URL.parse(url);
  if (target === null || !['http:', 'https:'].includes(target.protocol)) {
    throw new ServiceClientError(`${url} is not an http or https URL: say where Keyturn is with --url`);
  }
  const response = await fetch(target, init).catch((error: unknown) => {
    throw new ServiceClientError(
      `no Keyturn answers at ${target.origin}: start it, or say where it is with --url`,
      { cause: error },
    );
  });
  const answer = (await response.json().catch((error: unknown) => {
    throw new ServiceClientError(
      `what answers at ${target.origin} is not Keyturn: say where that is with --url`,
      { cause: error },
    );
  })) as Answer & { message?: string; error_description?: string };
  if (response.ok) return answer;
  throw new ServiceClientError(
    `${target.pathname} was refused with ${response.status}: ${answer.message ?? answer.error_description}`,
  );
}
