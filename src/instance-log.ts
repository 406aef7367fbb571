import type { Logger } from 'pino';
import { MasterKeys, MissingMasterKeyError } from './application/master-keys.ts';
import { openedLog, PersonalFields } from './application/personal-fields.ts';
import type { DataDirectory } from './data-directory.ts';
import type { EventStore } from './eventstore/event-store.ts';
import type { PersonalKeys } from './eventstore/personal-keys.ts';
import { openSqliteEventStore } from './eventstore/sqlite/sqlite-event-store.ts';
import {
  openSqlitePersonalKeys,
  type SqlitePersonalKeysOptions,
} from './eventstore/sqlite/sqlite-personal-keys.ts';
import { personalKeysOptions, preparePersonalFields, wrappingKeys } from './personal-data.ts';

export interface LogConfig {
  /** `sqlite`, or the connection string of an EventStoreDB. Default: `sqlite`, in the data directory. */
  readonly eventStore?: string | undefined;
  /** 32 bytes. Default: the one in the data directory, made on the first start. Required with EventStoreDB. */
  readonly masterKey?: Uint8Array | undefined;
  /** 32 bytes: the master key before a change, needed until all that is under it was put under the new one. */
  readonly previousMasterKey?: Uint8Array | undefined;
}

interface Dependencies {
  readonly dataDirectory: DataDirectory;
  readonly logger: Logger;
  readonly onRelease: (release: () => Promise<void> | void) => void;
}

/** The log of the instance, and what the secrets in it are under. */
export interface InstanceLog {
  /** As it is stored. */
  readonly stored: EventStore;
  /** With its personal fields opened. */
  readonly opened: EventStore;
  readonly personalFields: PersonalFields;
  readonly masterKeys: MasterKeys;
  /** Other nodes work on it too. */
  readonly isShared: boolean;
  readonly isReachable: () => boolean;
  /** What other threads read it with. Undefined where it is no file. */
  readonly file: LogFile | undefined;
  /**
   * Before personal fields are read or written.
   *
   * @throws EventStoreUnusableError their keys are lost, or could not be destroyed
   * @throws WrongMasterKeyError
   */
  prepare(): Promise<void>;
}

interface LogFile {
  readonly file: string;
  readonly personalKeys: SqlitePersonalKeysOptions;
}

/**
 * @throws EventStoreUnusableError
 * @throws MissingMasterKeyError
 */
export async function openInstanceLog(
  config: LogConfig,
  { dataDirectory, logger, onRelease }: Dependencies,
): Promise<InstanceLog> {
  const { eventStore: setting = 'sqlite' } = config;
  const isShared = setting !== 'sqlite';
  const store = isShared ? await openShared(setting, logger) : openEmbedded(dataDirectory);
  const { eventStore: stored, isReachable } = store;
  onRelease(() => stored.close());
  if (isShared && config.masterKey === undefined) throw new MissingMasterKeyError();
  const masterKeys = new MasterKeys(
    config.masterKey ?? (await dataDirectory.masterKey()),
    config.previousMasterKey,
  );
  const personalKeys = store.openPersonalKeys(masterKeys);
  onRelease(() => personalKeys.close());
  const personalFields = new PersonalFields(personalKeys);
  const keysPlace = isShared ? 'the event store' : dataDirectory.personalKeysFile;
  return {
    stored,
    opened: openedLog(stored, personalFields),
    personalFields,
    masterKeys,
    isShared,
    isReachable,
    file: isShared ? undefined : logFile(dataDirectory, masterKeys),
    prepare: () => preparePersonalFields(personalFields, stored, keysPlace),
  };
}

/** An event store with the keys of its personal fields: where the log is, there are they. */
interface OpenedEventStore {
  readonly eventStore: EventStore;
  readonly isReachable: () => boolean;
  readonly openPersonalKeys: (masterKeys: MasterKeys) => PersonalKeys;
}

function openEmbedded(dataDirectory: DataDirectory): OpenedEventStore {
  return {
    eventStore: openSqliteEventStore({ file: dataDirectory.eventsFile }),
    isReachable: () => true,
    openPersonalKeys: (masterKeys) => openSqlitePersonalKeys(personalKeysOptions(dataDirectory, masterKeys)),
  };
}

async function openShared(connectionString: string, logger: Logger): Promise<OpenedEventStore> {
  let isReachable = true;
  // Its client takes 10 MB: loaded where it is used only.
  const { openEventStoreDbEventStore } = await import(
    './eventstore/eventstoredb/eventstoredb-event-store.ts'
  );
  const eventStore = openEventStoreDbEventStore({
    connectionString,
    onReachable: (reachable, fault) => {
      isReachable = reachable;
      if (reachable) logger.info('the event store is reached again');
      else logger.error({ err: fault }, 'the event store cannot be reached');
    },
    onInterruption: (fault) => logger.warn({ err: fault }, 'a subscription was interrupted, and is resumed'),
  });
  return {
    eventStore,
    isReachable: () => isReachable,
    openPersonalKeys: (masterKeys) => eventStore.personalKeys(wrappingKeys(masterKeys)),
  };
}

function logFile(dataDirectory: DataDirectory, masterKeys: MasterKeys): LogFile {
  const personalKeys = { ...personalKeysOptions(dataDirectory, masterKeys), readOnly: true };
  return { file: dataDirectory.eventsFile, personalKeys };
}
