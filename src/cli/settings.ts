import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import ipaddr from 'ipaddr.js';
import type { TlsCredentials } from '../api/listener.ts';
import { credentialChecks } from '../application/credential-check.ts';
import { githubKeysUrl } from '../application/github-signatures.ts';
import { parseMasterKey } from '../data-directory.ts';
import { longestTokenLifetime, signingAlgorithms } from '../domain/instance/signing-keys.ts';
import { parseNetwork } from '../subscriptions/webhooks/target-policy.ts';

/** In seconds: less would expire on its way. */
const shortestTokenLifetime = 10;

/** The settings of the service: each a flag and an environment variable. The README lists them; a test holds it to that. */
export const serveOptions = {
  host: new Option('--host <address>', 'address to listen on').env('KEYTURN_HOST').default('127.0.0.1'),
  port: new Option('--port <number>', 'port to listen on; 0 picks a free one')
    .env('KEYTURN_PORT')
    .default(8080)
    .argParser(integerBetween(0, 65_535)),
  dataDir: new Option('--data-dir <path>', 'folder of the event log, the read model and the keys')
    .env('KEYTURN_DATA_DIR')
    .default('./data'),
  eventStore: new Option(
    '--event-store <store>',
    'sqlite (in the data directory), or the connection string of an EventStoreDB or KurrentDB',
  )
    .env('KEYTURN_EVENTSTORE')
    .default('sqlite'),
  externalUrl: new Option(
    '--external-url <url>',
    'where clients reach the service: the issuer of its tokens (default: "http://localhost:<port>")',
  )
    .env('KEYTURN_EXTERNAL_URL')
    .argParser(parseExternalUrl),
  masterKey: new Option(
    '--master-key <base64>',
    '32 bytes that encrypt the signing keys (default: master.key in the data directory, made on the first start); required with EventStoreDB',
  ).env('KEYTURN_MASTER_KEY'),
  previousMasterKey: new Option(
    '--previous-master-key <base64>',
    'the master key before a change, for the first start with the new one',
  ).env('KEYTURN_PREVIOUS_MASTER_KEY'),
  bcryptCost: new Option(
    '--bcrypt-cost <number>',
    'work factor of secret hashes, 4 to 31; each step doubles the work',
  )
    .env('KEYTURN_BCRYPT_COST')
    .default(4)
    .argParser(integerBetween(4, 31)),
  hashQueue: new Option(
    '--hash-queue <number>',
    'how many secrets may be hashed or wait for it; requests beyond are refused with 503',
  )
    .env('KEYTURN_HASH_QUEUE')
    .default(500)
    .argParser(integerBetween(1, 1_000_000)),
  credentialCheck: new Option(
    '--credential-check <mode>',
    'strict: the event store is asked before a secret or key is accepted',
  )
    .env('KEYTURN_CREDENTIAL_CHECK')
    .default('read-model' as const)
    .choices(credentialChecks),
  accessTokenLifetime: new Option('--access-token-lifetime <seconds>', 'how long access tokens live')
    .env('KEYTURN_ACCESS_TOKEN_LIFETIME')
    .default(3600)
    .argParser(integerBetween(shortestTokenLifetime, longestTokenLifetime)),
  idTokenLifetime: new Option('--id-token-lifetime <seconds>', 'how long id tokens live')
    .env('KEYTURN_ID_TOKEN_LIFETIME')
    .default(3600)
    .argParser(integerBetween(shortestTokenLifetime, longestTokenLifetime)),
  signingAlgorithm: new Option('--signing-algorithm <name>', 'JWS algorithm of new signing keys')
    .env('KEYTURN_SIGNING_ALGORITHM')
    .default('ES256' as const)
    .choices(signingAlgorithms),
  githubKeysUrl: new Option(
    '--github-keys-url <url>',
    'where the keys are that GitHub, or a GitHub Enterprise, signs reports of found secrets with',
  )
    .env('KEYTURN_GITHUB_KEYS_URL')
    .default(githubKeysUrl),
  secretAnnouncements: new Option(
    '--secret-announcements <days>',
    'how many days before its expiry a secret is announced by an event, separated by commas; empty: never',
  )
    .env('KEYTURN_SECRET_ANNOUNCEMENTS')
    .default([30, 7, 1], '30,7,1')
    .argParser(parseDays),
  eventStreamsPerUser: new Option(
    '--event-streams-per-user <number>',
    'how many event streams a user may have open',
  )
    .env('KEYTURN_EVENT_STREAMS_PER_USER')
    .default(10)
    .argParser(integerBetween(0, 10_000)),
  tlsCert: new Option(
    '--tls-cert <file>',
    'PEM file of a certificate chain: with it the port speaks TLS only',
  ).env('KEYTURN_TLS_CERT'),
  tlsKey: new Option('--tls-key <file>', "PEM file of the certificate's private key").env('KEYTURN_TLS_KEY'),
  webhookAllowHttp: new Option('--webhook-allow-http', 'let webhooks go over plain HTTP').env(
    'KEYTURN_WEBHOOK_ALLOW_HTTP',
  ),
  webhookAllowedNetworks: new Option(
    '--webhook-allowed-networks <list>',
    'networks that are not public and that webhooks may lead to all the same, in CIDR notation, separated by commas',
  )
    .env('KEYTURN_WEBHOOK_ALLOWED_NETWORKS')
    .argParser(parseNetworks),
  webhookDisableAfter: new Option(
    '--webhook-disable-after <hours>',
    'when a webhook is disabled that nothing reaches',
  )
    .env('KEYTURN_WEBHOOK_DISABLE_AFTER')
    .default(120)
    .argParser(integerBetween(1, 8760)),
  failuresPerClient: new Option(
    '--failures-per-client <number>',
    'failed attempts to sign in a minute before a client is refused from that address',
  )
    .env('KEYTURN_FAILURES_PER_CLIENT')
    .default(10)
    .argParser(integerBetween(1, 1_000_000)),
  failuresPerSource: new Option(
    '--failures-per-source <number>',
    'failed attempts to sign in a minute before all clients are refused from that address',
  )
    .env('KEYTURN_FAILURES_PER_SOURCE')
    .default(100)
    .argParser(integerBetween(1, 1_000_000)),
  trustedProxies: new Option(
    '--trusted-proxies <list>',
    'addresses and CIDR ranges, with commas, of proxies whose X-Forwarded-For is believed (default: none)',
  )
    .env('KEYTURN_TRUSTED_PROXIES')
    .argParser(parseAddresses),
  signingKeyRotation: new Option('--signing-key-rotation <days>', 'how long a signing key signs')
    .env('KEYTURN_SIGNING_KEY_ROTATION')
    .default(90)
    .argParser(integerBetween(1, 3650)),
  checkpointInterval: new Option(
    '--checkpoint-interval <seconds>',
    'how often a grown log is signed; 0 never',
  )
    .env('KEYTURN_CHECKPOINT_INTERVAL')
    .default(60)
    .argParser(integerBetween(0, 86_400)),
  logLevel: new Option('--log-level <level>', 'least severe level that is logged')
    .env('KEYTURN_LOG_LEVEL')
    .default('info' as const)
    .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const),
};

export function integerBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function parseNetworks(text: string): string[] {
  const networks = text.split(',').map((network) => network.trim());
  try {
    for (const network of networks) parseNetwork(network);
  } catch (error) {
    throw new InvalidArgumentError(`${error instanceof RangeError ? error.message : String(error)}.`);
  }
  return networks;
}

function parseAddresses(text: string): string[] {
  const addresses = text.split(',').map((one) => one.trim());
  if (addresses.every((one) => ipaddr.isValid(one) || ipaddr.isValidCIDR(one))) return addresses;
  throw new InvalidArgumentError('It must be addresses and CIDR ranges, separated by commas.');
}

function parseDays(text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  const days = parts.filter((part) => part !== '').map(Number);
  if (days.length <= 10 && days.every((one) => Number.isInteger(one) && one >= 1 && one <= 3650)) return days;
  throw new InvalidArgumentError('It must be up to 10 whole numbers from 1 to 3650, separated by commas.');
}

/** An issuer has no query and no fragment (RFC 8414 section 2); a slash at its end would make two spellings of it. */
function parseExternalUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new InvalidArgumentError('It must be an http or https URL.');
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('It must have no query, no fragment and no credentials.');
  }
  return url.href.replace(/\/+$/, '');
}

/** A setting cannot be used. The message names it, and never shows a secret. */
export class InvalidSettingError extends Error {
  override readonly name = 'InvalidSettingError';
}

/** Not an `argParser`: the message of a refused value would show it. Throws {@link InvalidSettingError}. */
export function masterKeyOf(
  setting: string | undefined,
  { envVar, long }: { readonly envVar?: string; readonly long?: string } = serveOptions.masterKey,
): Uint8Array | undefined {
  if (setting === undefined) return undefined;
  const key = parseMasterKey(setting);
  if (key === undefined) {
    throw new InvalidSettingError(`${envVar} (${long}) is invalid. It must be 32 bytes in base64.`);
  }
  return key;
}

/**
 * What TLS is spoken with; undefined where neither file is set.
 *
 * @throws InvalidSettingError only one is set, a file cannot be read, or the two do not belong together
 */
export function tlsCredentialsOf(
  certFile: string | undefined,
  keyFile: string | undefined,
): TlsCredentials | undefined {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new InvalidSettingError('KEYTURN_TLS_CERT and KEYTURN_TLS_KEY belong together: set both or none.');
  }
  const cert = readPem('KEYTURN_TLS_CERT', certFile);
  const key = readPem('KEYTURN_TLS_KEY', keyFile);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidSettingError(`KEYTURN_TLS_CERT and KEYTURN_TLS_KEY cannot be used: ${reason}`);
  }
  return { cert, key };
}

function readPem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidSettingError(`${setting} cannot be read: ${reason}`);
  }
}
