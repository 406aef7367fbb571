import { existsSync, readFileSync } from 'node:fs';
import { parseConnectionString } from '@eventstore/db-client/dist/Client/parseConnectionString.js';
import { EventStoreUnusableError } from '../errors.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** How to reach the store, as a connection string says it. Times in milliseconds. */
export interface ConnectionSettings {
  readonly hosts: readonly Endpoint[];
  /** Ask the one host, a name in DNS for all nodes, which node leads. */
  readonly discover: boolean;
  readonly tls: boolean;
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
  /** PEM. */
  readonly certificateAuthority: Buffer | undefined;
  /** PEM. */
  readonly userCertificate: { readonly certificate: Buffer; readonly key: Buffer } | undefined;
  readonly connectionName: string | undefined;
  /** Of one call. */
  readonly deadline: number;
  readonly keepAliveInterval: number;
  readonly keepAliveTimeout: number;
  readonly discoveryInterval: number | undefined;
  readonly maxDiscoverAttempts: number | undefined;
  /** In seconds, as the client has it. */
  readonly gossipTimeout: number | undefined;
}

const schemes = /^(esdb|kurrentdb|kurrent|kdb)(\+discover)?:\/\//;
const defaultDeadline = 5000;
const defaultKeepAlive = 10_000;

/** In lower case, as the client compares them. */
const knownOptions = new Set([
  'tls',
  'tlscafile',
  'usercertfile',
  'userkeyfile',
  'connectionname',
  'defaultdeadline',
  'keepaliveinterval',
  'keepalivetimeout',
  'discoveryinterval',
  'maxdiscoverattempts',
  'gossiptimeout',
  'nodepreference',
]);

/** Whether `text` has the scheme of a connection string, valid or not. */
export function isConnectionString(text: string): boolean {
  return schemes.test(text);
}

/**
 * Reads `esdb://`, `esdb+discover://` and `kurrentdb://` strings, as the store's own clients do.
 *
 * @throws EventStoreUnusableError naming what is wrong, and never the string, which may hold a password
 */
export function readConnectionString(text: string): ConnectionSettings {
  if (!isConnectionString(text)) {
    throw unusable('it begins with esdb://, esdb+discover://, kurrentdb:// or kurrentdb+discover://');
  }
  refuseUnknownOptions(text);
  const parsed = parse(text.replace(schemes, (_, _scheme, discover = '') => `esdb${discover}://`));
  if (parsed.nodePreference !== undefined && parsed.nodePreference !== 'leader') {
    throw unusable('nodePreference can only be leader: whoever reads must see what was written before');
  }
  const { userCertFile, userKeyFile } = parsed;
  if ((userCertFile === undefined) !== (userKeyFile === undefined)) {
    throw unusable('userCertFile and userKeyFile go together');
  }
  return {
    hosts: parsed.hosts,
    discover: parsed.dnsDiscover,
    tls: parsed.tls !== false,
    credentials: parsed.defaultCredentials,
    certificateAuthority: readPem('tlsCAFile', parsed.tlsCAFile),
    userCertificate:
      userCertFile === undefined || userKeyFile === undefined
        ? undefined
        : { certificate: readPem('userCertFile', userCertFile), key: readPem('userKeyFile', userKeyFile) },
    connectionName: parsed.connectionName,
    deadline: parsed.defaultDeadline ?? defaultDeadline,
    keepAliveInterval: parsed.keepAliveInterval ?? defaultKeepAlive,
    keepAliveTimeout: parsed.keepAliveTimeout ?? defaultKeepAlive,
    discoveryInterval: parsed.discoveryInterval,
    maxDiscoverAttempts: parsed.maxDiscoverAttempts,
    gossipTimeout: parsed.gossipTimeout,
  };
}

/** Where the store is, for logs: without credentials and options. */
export function describeStore({ hosts, discover, tls }: ConnectionSettings): string {
  const names = hosts.map(({ address, port }) => `${address}:${port}`).join(',');
  return `esdb${discover ? '+discover' : ''}://${names}${tls ? '' : ' (without TLS)'}`;
}

/** The client warns of such options on the console, with the whole string in the warning. */
function refuseUnknownOptions(text: string): void {
  const [, query = ''] = /\?(.*)$/.exec(text) ?? [];
  for (const [name] of new URLSearchParams(query)) {
    const flat = name.trim().toLowerCase().replace(/[_-]/g, '');
    if (flat === 'tlsverifycert') {
      throw unusable('tlsVerifyCert has no effect: trust a certificate authority with tlsCAFile');
    }
    if (!knownOptions.has(flat)) throw unusable(`it has no option ${JSON.stringify(name)}`);
  }
}

function parse(text: string): ReturnType<typeof parseConnectionString> {
  try {
    return parseConnectionString(text);
  } catch {
    // Its message may repeat a part of the string.
    throw unusable('its form is esdb://user:password@host:port?option=value');
  }
}

function readPem(option: string, file: string): Buffer;
function readPem(option: string, file: string | undefined): Buffer | undefined;
function readPem(option: string, file: string | undefined): Buffer | undefined {
  if (file === undefined) return undefined;
  if (!existsSync(file)) throw unusable(`${option} names a file that does not exist: ${file}`);
  return readFileSync(file);
}

function unusable(reason: string): EventStoreUnusableError {
  return new EventStoreUnusableError(`the connection string of the event store is not usable: ${reason}`);
}
