import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { TlsCredentials } from './api/listener.ts';
import { oauthPaths } from './api/oauth/oauth-paths.ts';
import { createServer } from './api/server.ts';
import { CommandHandler } from './application/command-handler.ts';
import { Erasures } from './application/erasures.ts';
import { EventLog } from './application/event-log.ts';
import { GithubSignatures } from './application/github-signatures.ts';
import { boundedHasher } from './application/hash-queue.ts';
import { setUpInstance } from './application/instance-set-up.ts';
import { Leaks } from './application/leaks.ts';
import { MachineKeys } from './application/machine-keys.ts';
import { MachineSecrets } from './application/machine-secrets.ts';
import { MachineUserChanges } from './application/machine-user-changes.ts';
import { MachineUsers } from './application/machine-users.ts';
import { Members } from './application/members.ts';
import { Organizations } from './application/organizations.ts';
import { Owners } from './application/owners.ts';
import { bcryptHasher, type SecretHasher } from './application/secret-hasher.ts';
import { SecretPolicies } from './application/secret-policies.ts';
import { SecretTimekeeper } from './application/secret-timekeeper.ts';
import { AuditTrail } from './audit/audit-trail.ts';
import { type AuthorizationServerConfig, createAuthorizationServer } from './authorization-server.ts';
import { DataDirectory } from './data-directory.ts';
import { createEventStreams, type EventStreamConfig } from './event-streams.ts';
import type { EventStore } from './eventstore/event-store.ts';
import { headOf } from './eventstore/head.ts';
import { type LogConfig, openInstanceLog } from './instance-log.ts';
import { type CheckpointConfig, createLogCheckpoints } from './log-checkpoints.ts';
import { onceReached } from './once-reached.ts';
import { version } from './package-version.ts';
import { createReadSide, type OnCatchUp } from './read-side.ts';
import { Releases } from './releases.ts';
import { createWebhookDelivery, type WebhookConfig } from './webhook-delivery.ts';

export interface ServiceConfig
  extends LogConfig,
    AuthorizationServerConfig,
    EventStreamConfig,
    WebhookConfig,
    CheckpointConfig {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly dataDir: string;
  /** Where clients reach the service: the issuer of its tokens. Default: `http(s)://localhost:<port>`. */
  readonly externalUrl?: string | undefined;
  readonly bcryptCost: number;
  /** How many secrets may be under way in hashing or wait for it: requests beyond are refused. Default: 500. */
  readonly hashQueue?: number | undefined;
  /** Where the keys are that GitHub signs its reports of found secrets with. Default: GitHub's. */
  readonly githubKeysUrl?: string | undefined;
  /** How many days before its expiry a secret is announced. Default: 30, 7 and 1. */
  readonly secretAnnouncements?: readonly number[] | undefined;
  /** With it the port speaks TLS only. */
  readonly tls?: TlsCredentials | undefined;
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** In milliseconds: how long another node may take to set the instance up. */
const setUpPatience = 10_000;
const defaultHashQueue = 500;
/** In days. */
const defaultSecretAnnouncements = [30, 7, 1];
/** Of connections that nobody has accepted yet. The system's own bound is lower, or as high; past it a client waits a second or more. */
const longestBacklog = 4096;

export interface ServiceOptions {
  readonly logger: Logger;
  readonly clock?: () => Date;
  /** Default: bcrypt of the configured cost. */
  readonly hasher?: SecretHasher;
  readonly onCatchUp?: OnCatchUp;
}

/** A running Keyturn: one event store, one read model, one HTTP server. */
export interface Service {
  /** Where it listens. */
  readonly url: string;
  readonly issuer: string;
  /** The instance was set up by this start. */
  readonly isNew: boolean;
  readonly adminCredentialsFile: string;
  readonly eventStore: EventStore;
  readonly commands: CommandHandler;
  readonly machineUsers: MachineUsers;
  /** Resolves after `close`. Rejects when the read model or the feed of subscribers can no longer follow the log: the service must then stop. */
  readonly finished: Promise<void>;
  /** Lets requests under way finish, takes no new ones, and releases everything. */
  close(): Promise<void>;
}

/**
 * Starts the service and resolves when it serves.
 *
 * An event store on other machines that is down is waited for: the health routes answer meanwhile.
 *
 * @throws EventStoreUnusableError another process uses the data directory, it is not of this version, or the connection
 *   string or its credentials are wrong
 * @throws MissingMasterKeyError
 * @throws WrongMasterKeyError the master key is not the one that the signing key was encrypted with
 */
export async function startService(config: ServiceConfig, options: ServiceOptions): Promise<Service> {
  const { readModelFile } = new DataDirectory(config.dataDir);
  const hadReadModel = existsSync(readModelFile);
  try {
    return await startOnce(config, options);
  } catch (error) {
    // One that was found damaged is gone.
    if (!hadReadModel || existsSync(readModelFile)) throw error;
    options.logger.warn({ err: error }, 'the read model is damaged, and is built anew');
    return startOnce(config, options);
  }
}

/** Where it fails, nothing stays open. */
async function startOnce(config: ServiceConfig, options: ServiceOptions): Promise<Service> {
  const releases = new Releases();
  try {
    return await start(config, options, releases);
  } catch (error) {
    await releases
      .all()
      .catch((releaseError: unknown) =>
        options.logger.error({ err: releaseError }, 'not everything could be released'),
      );
    throw error;
  }
}

async function start(config: ServiceConfig, options: ServiceOptions, releases: Releases): Promise<Service> {
  const { logger, clock = () => new Date(), onCatchUp } = options;
  const onRelease = releases.add;
  const dataDirectory = new DataDirectory(config.dataDir);
  const log = await openInstanceLog(config, { dataDirectory, logger, onRelease });
  const { stored: storedLog, opened: eventStore, personalFields, masterKeys, isShared } = log;
  const readSide = createReadSide({
    log,
    file: dataDirectory.readModelFile,
    clock,
    logger,
    onCatchUp,
    onRelease,
  });
  const { directory, projector } = readSide;
  let issuer = config.externalUrl ?? '';
  const { feed, eventStream, forgetTexts } = createEventStreams(config, {
    log,
    issuer: () => issuer,
    visible: (position) => projector.waitFor(position),
    clock,
    logger,
    onRelease,
  });

  const commands = new CommandHandler({
    eventStore: storedLog,
    clock,
    waitForReadModel: (position) => projector.waitFor(position),
    personalFields,
  });
  const hasher = boundedHasher(
    options.hasher ?? bcryptHasher(config.bcryptCost),
    config.hashQueue ?? defaultHashQueue,
  );
  const owners = new Owners(commands);
  const machineUsers = new MachineUsers(commands, hasher, owners, personalFields);
  const machineSecrets = new MachineSecrets(commands, hasher);
  const erasures = new Erasures({
    eventStore: storedLog,
    commands,
    personalFields,
    directory,
    dropTraces: () => {
      forgetTexts();
      readSide.dropTraces();
    },
  });
  const authorizationServer = createAuthorizationServer(config, {
    issuer: () => issuer,
    commands,
    directory,
    masterKeys,
    hasher,
    clock,
    logger,
  });
  onRelease(() => authorizationServer.close());

  const { webhooks, dispatcher } = createWebhookDelivery(config, {
    isShared,
    issuer: () => issuer,
    eventStore,
    feed,
    commands,
    directory,
    masterKeys,
    logger,
    onRelease,
  });

  const checkpoints = createLogCheckpoints(config, {
    eventStore: storedLog,
    commands,
    masterKeys,
    directory,
    treeFolder: dataDirectory.logTreeFolder,
    logger,
    onRelease,
  });

  const timekeeper = new SecretTimekeeper({
    machineSecrets,
    directory,
    clock,
    announcedDays: config.secretAnnouncements ?? defaultSecretAnnouncements,
    onFailure: (error) =>
      logger.error({ err: error }, 'what time has done to secrets could not be stored, it is tried again'),
  });
  onRelease(() => timekeeper.close());

  let waitingFor: string | undefined = 'the event store';
  const server = createServer({
    services: {
      machineUsers,
      erasures,
      machineSecrets,
      secretPolicies: new SecretPolicies(commands),
      machineKeys: new MachineKeys(commands),
      members: new Members(commands, owners),
      organizations: new Organizations(commands, directory, owners),
      eventLog: new EventLog(eventStore),
      directory,
      changes: new MachineUserChanges(eventStore),
      progress: () => projector.progress,
      instanceDomain: () => new URL(issuer).hostname,
      keyRing: authorizationServer.keyRing,
      rotation: authorizationServer.rotation,
    },
    oauth: authorizationServer.oauth,
    audit: new AuditTrail(eventStore),
    checkpoints: checkpoints.published,
    webhooks: {
      webhooks,
      commands,
      directory,
      deliveries: dispatcher,
      endOfLog: () => headOf(eventStore),
    },
    leaks: {
      leaks: new Leaks({ commands, directory, hasher }),
      githubSignatures: new GithubSignatures(config.githubKeysUrl),
    },
    eventStream,
    trustedProxies: config.trustedProxies ?? [],
    readiness: () => ({
      isReady: waitingFor === undefined && projector.isReady,
      ...(waitingFor !== undefined && { waitingFor }),
      eventStore: log.isReachable() ? 'reachable' : 'unreachable',
    }),
    position: {
      current: () => projector.position,
      waitFor: (position) => projector.waitFor(position),
    },
    logger,
    tls: config.tls,
    version,
  });
  onRelease(() => server.close());
  const url = await listen(server, config);
  if (issuer === '') {
    const { protocol, port } = new URL(url);
    issuer = `${protocol}//localhost:${port}`;
  }

  await onceReached(logger, () => log.prepare());
  waitingFor = 'the read model to catch up with the log';
  await readSide.catchUp();
  await onceReached(logger, () => erasures.complete());
  waitingFor = 'the instance to be set up';
  const isNew = await onceReached(logger, () =>
    setUpInstance({
      commands,
      machineUsers,
      masterKeys,
      signingAlgorithm: authorizationServer.signingAlgorithm,
      saveAdminCredentials: (credentials) =>
        dataDirectory.saveAdminCredentials({
          issuer,
          tokenEndpoint: issuer + oauthPaths.token,
          ...credentials,
        }),
      discardAdminCredentials: () => dataDirectory.discardAdminCredentials(),
      patience: isShared ? setUpPatience : 0,
    }),
  );
  await projector.waitFor(await headOf(eventStore));
  await authorizationServer.keyRing.current();
  // The master key has opened something: it is the one of this log.
  await onceReached(logger, () => personalFields.begin());
  await feed.start();
  dispatcher.start();
  await authorizationServer.start();
  await webhooks.reencryptSecrets((webhookId) =>
    logger.error({ webhookId }, 'a signing secret of a webhook cannot be read, the webhook needs a new one'),
  );
  timekeeper.start();
  await onceReached(logger, () => checkpoints.start());
  waitingFor = undefined;
  return {
    url,
    issuer,
    isNew,
    adminCredentialsFile: dataDirectory.adminCredentialsFile,
    eventStore,
    commands,
    machineUsers,
    finished: Promise.all([readSide.finished(), feed.finished()]).then(() => {}),
    close: () => releases.all(),
  };
}

async function listen(server: FastifyInstance, { host, port, tls }: ServiceConfig): Promise<string> {
  await server.listen({ host, port, backlog: longestBacklog });
  const { port: boundPort } = server.server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return `${tls === undefined ? 'http' : 'https'}://${name}:${boundPort}`;
}
