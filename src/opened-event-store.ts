import type { Logger } from 'pino';
import type { MasterKeys } from './application/master-keys.ts';
import type { ReplayedLog } from './audit/replay/projected-batches.ts';
import type { DataDirectory } from './data-directory.ts';
import type { EventStore } from './eventstore/event-store.ts';
import type { PersonalKeys } from './eventstore/personal-keys.ts';
import { openSqliteEventStore } from './eventstore/sqlite/sqlite-event-store.ts';
import { openSqlitePersonalKeys } from './eventstore/sqlite/sqlite-personal-keys.ts';
import { personalKeysOptions, wrappingKeys } from './personal-data.ts';

/** The event store that the settings name, with the keys of its personal fields. */
export interface OpenedEventStore {
  readonly eventStore: EventStore;
  /** Other nodes work on it too. */
  readonly isShared: boolean;
  readonly isReachable: () => boolean;
  /** Where the log is, there are the keys of its personal fields. */
  readonly openPersonalKeys: (masterKeys: MasterKeys) => PersonalKeys;
}

/**
 * @param setting `sqlite`, which is the default, or a connection string
 * @throws EventStoreUnusableError
 */
export async function openEventStore(
  setting = 'sqlite',
  dataDirectory: DataDirectory,
  logger: Logger,
): Promise<OpenedEventStore> {
  if (setting === 'sqlite') {
    const eventStore = openSqliteEventStore({ file: dataDirectory.eventsFile });
    const openPersonalKeys = (masterKeys: MasterKeys) =>
      openSqlitePersonalKeys(personalKeysOptions(dataDirectory, masterKeys));
    return { eventStore, isShared: false, isReachable: () => true, openPersonalKeys };
  }
  let isReachable = true;
  // Its client takes 10 MB: loaded where it is used only.
  const { openEventStoreDbEventStore } = await import(
    './eventstore/eventstoredb/eventstoredb-event-store.ts'
  );
  const eventStore = openEventStoreDbEventStore({
    connectionString: setting,
    onReachable: (reachable, fault) => {
      isReachable = reachable;
      if (reachable) logger.info('the event store is reached again');
      else logger.error({ err: fault }, 'the event store cannot be reached');
    },
    onInterruption: (fault) => logger.warn({ err: fault }, 'a subscription was interrupted, and is resumed'),
  });
  const openPersonalKeys = (masterKeys: MasterKeys) => eventStore.personalKeys(wrappingKeys(masterKeys));
  return { eventStore, isShared: true, isReachable: () => isReachable, openPersonalKeys };
}

/** What a thread of its own reads the log and its personal fields with. */
export function embeddedLog(
  dataDirectory: DataDirectory,
  masterKeys: MasterKeys,
): Pick<ReplayedLog, 'file' | 'personalKeys'> {
  const personalKeys = { ...personalKeysOptions(dataDirectory, masterKeys), readOnly: true };
  return { file: dataDirectory.eventsFile, personalKeys };
}
