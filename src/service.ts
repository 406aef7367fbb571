import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import pRetry from 'p-retry';
import type { Logger } from 'pino';
import { CatchUpThread } from './api/events/catch-up-thread.ts';
import { EventTickets } from './api/events/event-tickets.ts';
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
import { MasterKeys, MissingMasterKeyError } from './application/master-keys.ts';
import { Members } from './application/members.ts';
import { Organizations } from './application/organizations.ts';
import { Owners } from './application/owners.ts';
import { openedLog, PersonalFields } from './application/personal-fields.ts';
import { bcryptHasher, type SecretHasher } from './application/secret-hasher.ts';
import { SecretPolicies } from './application/secret-policies.ts';
import { SecretTimekeeper } from './application/secret-timekeeper.ts';
import { AuditTrail } from './audit/audit-trail.ts';
import { replayInto } from './audit/replay/replay.ts';
import { type AuthorizationServerConfig, createAuthorizationServer } from './authorization-server.ts';
import { DataDirectory } from './data-directory.ts';
import { EventStoreUnavailableError } from './eventstore/errors.ts';
import type { EventStore } from './eventstore/event-store.ts';
import { headOf } from './eventstore/head.ts';
import { type CheckpointConfig, createLogCheckpoints } from './log-checkpoints.ts';
import { embeddedLog, openEventStore } from './opened-event-store.ts';
import { version } from './package-version.ts';
import { personalKeysOptions, preparePersonalFields } from './personal-data.ts';
import { Projector } from './projections/projector.ts';
import { ReadModel } from './projections/read-model.ts';
import { LiveEventFeed } from './subscriptions/live-event-feed.ts';
import { createWebhookDelivery, type WebhookConfig } from './webhook-delivery.ts';

export interface ServiceConfig extends AuthorizationServerConfig, WebhookConfig, CheckpointConfig {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly dataDir: string;
  /** `sqlite`, or the connection string of an EventStoreDB. Default: `sqlite`, in the data directory. */
  readonly eventStore?: string | undefined;
  /** Where clients reach the service: the issuer of its tokens. Default: `http(s)://localhost:<port>`. */
  readonly externalUrl?: string | undefined;
  /** 32 bytes. Default: the one in the data directory, made on the first start. Required with EventStoreDB. */
  readonly masterKey?: Uint8Array | undefined;
  readonly bcryptCost: number;
  /** How many secrets may be under way in hashing or wait for it: requests beyond are refused. Default: 500. */
  readonly hashQueue?: number | undefined;
  /** 32 bytes: the master key before a change, needed until all that is under it was put under the new one. */
  readonly previousMasterKey?: Uint8Array | undefined;
  /** Where the keys are that GitHub signs its reports of found secrets with. Default: GitHub's. */
  readonly githubKeysUrl?: string | undefined;
  /** How many days before its expiry a secret is announced. Default: 30, 7 and 1. */
  readonly secretAnnouncements?: readonly number[] | undefined;
  /** How many event streams a user may have open. Default: 10. */
  readonly eventStreamsPerUser?: number | undefined;
  /** In milliseconds: an event stream is silent no longer than this. Default: 15 seconds. */
  readonly heartbeatInterval?: number | undefined;
  /** In milliseconds: how long a reader of an event stream may hold it up before it is dropped. Default: 30 seconds. */
  readonly slowReaderLimit?: number | undefined;
  /** With it the port speaks TLS only. */
  readonly tls?: TlsCredentials | undefined;
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** In milliseconds: how long another node may take to set the instance up. */
const setUpPatience = 10_000;
const defaultStreamsPerUser = 10;
const defaultHashQueue = 500;
/** In days. */
const defaultSecretAnnouncements = [30, 7, 1];
/** In milliseconds: proxies end connections that are silent for longer, many after 30 or 60 seconds. */
const defaultHeartbeatInterval = 15_000;
/** Of connections that nobody has accepted yet. The system's own bound is lower, or as high; past it a client waits a second or more. */
const longestBacklog = 4096;
/** In milliseconds. */
const defaultSlowReaderLimit = 30_000;

export interface ServiceOptions {
  readonly logger: Logger;
  readonly clock?: () => Date;
  /** Default: bcrypt of the configured cost. */
  readonly hasher?: SecretHasher;
  /** Told how far the read model has come, in positions of the log, until it has caught up. */
  readonly onCatchUp?: (progress: { readonly position: bigint; readonly head: bigint }) => void;
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
  const releases: (() => Promise<void> | void)[] = [];
  const release = async () => {
    const errors: unknown[] = [];
    for (const one of releases.splice(0).reverse()) {
      try {
        await one();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors);
  };
  try {
    return await start(config, options, (one) => releases.push(one), release);
  } catch (error) {
    await release().catch((releaseError: unknown) =>
      options.logger.error({ err: releaseError }, 'not everything could be released'),
    );
    throw error;
  }
}

async function start(
  config: ServiceConfig,
  options: ServiceOptions,
  onRelease: (release: () => Promise<void> | void) => void,
  close: () => Promise<void>,
): Promise<Service> {
  const { logger, clock = () => new Date(), onCatchUp } = options;
  const hasher = boundedHasher(
    options.hasher ?? bcryptHasher(config.bcryptCost),
    config.hashQueue ?? defaultHashQueue,
  );
  const dataDirectory = new DataDirectory(config.dataDir);

  const store = await openEventStore(config.eventStore, dataDirectory, logger);
  const { eventStore: storedLog, isShared, isReachable } = store;
  onRelease(() => storedLog.close());
  if (isShared && config.masterKey === undefined) throw new MissingMasterKeyError();
  const masterKeys = new MasterKeys(
    config.masterKey ?? (await dataDirectory.masterKey()),
    config.previousMasterKey,
  );
  const personalKeys = store.openPersonalKeys(masterKeys);
  onRelease(() => personalKeys.close());
  const personalFields = new PersonalFields(personalKeys);
  const eventStore = openedLog(storedLog, personalFields);
  const readModel = ReadModel.open(dataDirectory.readModelFile, clock);
  onRelease(() => readModel.close());
  let head = 0n;
  const projector = new Projector({
    eventStore,
    readModel,
    clock,
    onProgress: ({ position }) => {
      if (!projector.isReady) onCatchUp?.({ position, head });
    },
  });
  onRelease(() => projector.stop());

  const commands = new CommandHandler({
    eventStore: storedLog,
    clock,
    waitForReadModel: (position) => projector.waitFor(position),
    personalFields,
  });
  const owners = new Owners(commands);
  const machineUsers = new MachineUsers(commands, hasher, owners, personalFields);
  const machineSecrets = new MachineSecrets(commands, hasher);
  const directory = readModel.queries;
  const catchUp = isShared
    ? undefined
    : new CatchUpThread({
        log: {
          file: dataDirectory.eventsFile,
          personalKeys: personalKeysOptions(dataDirectory, masterKeys),
        },
        onFailure: (error) =>
          logger.warn({ err: error }, 'the thread for readers far behind fails, they are served without it'),
      });
  onRelease(() => catchUp?.close());
  const erasures = new Erasures({
    eventStore: storedLog,
    commands,
    personalFields,
    directory,
    dropTraces: () => {
      catchUp?.forget();
      if (readModel.dropTraces()) return;
      throw new Error('the read model is being read: what was deleted is still in its file');
    },
  });
  let issuer = config.externalUrl ?? '';
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

  const heartbeatInterval = config.heartbeatInterval ?? defaultHeartbeatInterval;
  const feed = new LiveEventFeed({
    eventStore,
    source: () => issuer,
    visible: (position) => projector.waitFor(position),
    heartbeatInterval,
  });
  onRelease(() => feed.stop());

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
    eventStream: {
      feed,
      catchUp,
      source: () => issuer,
      tickets: new EventTickets(masterKeys, clock),
      streamsPerUser: config.eventStreamsPerUser ?? defaultStreamsPerUser,
      heartbeatInterval,
      slowReaderLimit: config.slowReaderLimit ?? defaultSlowReaderLimit,
    },
    trustedProxies: config.trustedProxies ?? [],
    readiness: () => ({
      isReady: waitingFor === undefined && projector.isReady,
      ...(waitingFor !== undefined && { waitingFor }),
      eventStore: isReachable() ? 'reachable' : 'unreachable',
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

  const keysPlace = isShared ? 'the event store' : dataDirectory.personalKeysFile;
  await onceReached(logger, () => preparePersonalFields(personalFields, storedLog, keysPlace));
  head = await onceReached(logger, () => headOf(eventStore));
  waitingFor = 'the read model to catch up with the log';
  // Into the file that is open here: nobody is answered from it before the service is ready.
  await onceReached(logger, () =>
    replayInto(
      dataDirectory.readModelFile,
      { eventStore, ...(!isShared && embeddedLog(dataDirectory, masterKeys)) },
      { onProgress: (position) => onCatchUp?.({ position: BigInt(position), head }) },
    ),
  );
  readModel.forgetAnswers();
  projector.start();
  await projector.caughtUp;
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
    finished: Promise.all([projector.finished(), feed.finished()]).then(() => {}),
    close,
  };
}

/** Does not give up: without its event store a node can do nothing, and with it, it can go on. */
async function onceReached<Result>(logger: Logger, action: () => Promise<Result>): Promise<Result> {
  return pRetry(action, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 500,
    maxTimeout: 5000,
    shouldRetry: ({ error }) => error instanceof EventStoreUnavailableError,
    onFailedAttempt: ({ error }) => logger.warn({ err: error }, 'waiting for the event store'),
  });
}

async function listen(server: FastifyInstance, { host, port, tls }: ServiceConfig): Promise<string> {
  await server.listen({ host, port, backlog: longestBacklog });
  const { port: boundPort } = server.server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return `${tls === undefined ? 'http' : 'https'}://${name}:${boundPort}`;
}
