import { existsSync } from 'node:fs';
import { type MasterKeys, WrongMasterKeyError } from './application/master-keys.ts';
import { isSealed, PersonalFields } from './application/personal-fields.ts';
import type { DataDirectory } from './data-directory.ts';
import { EventStoreUnusableError } from './eventstore/errors.ts';
import type { EventStore } from './eventstore/event-store.ts';
import {
  openSqlitePersonalKeys,
  type SqlitePersonalKeysOptions,
} from './eventstore/sqlite/sqlite-personal-keys.ts';

interface PersonalDataParts {
  readonly dataDirectory: DataDirectory;
  readonly masterKeys: MasterKeys;
  readonly eventStore: EventStore;
  /** Other nodes work on the event store too. */
  readonly isShared: boolean;
  readonly onRelease: (release: () => void) => void;
}

/** What the keys in the data directory are opened with. Plain data, so that a thread can be told. */
export function personalKeysOptions(
  { personalKeysFile: file }: DataDirectory,
  masterKeys: MasterKeys,
): SqlitePersonalKeysOptions {
  return { file, wrappingKeys: masterKeys.derive('personal keys') };
}

/**
 * The personal fields of a service's log. On an event store that nodes share, no node can destroy a key for all: there, fields are
 * stored as they are, and those that came with an embedded log are opened by the keys that came with it.
 *
 * @throws EventStoreUnusableError the keys are lost
 * @throws WrongMasterKeyError they are not under the master key
 */
export async function openPersonalFields(parts: PersonalDataParts): Promise<PersonalFields> {
  const { dataDirectory, masterKeys, eventStore, isShared, onRelease } = parts;
  const isThere = existsSync(dataDirectory.personalKeysFile);
  if (isShared && !isThere) return new PersonalFields();
  if (!isThere) await requireNothingSealed(eventStore, dataDirectory);
  // The file is this node's own also where the log is not: keys are destroyed in it, and put under a new master key.
  const keys = openSqlitePersonalKeys(personalKeysOptions(dataDirectory, masterKeys));
  onRelease(() => keys.close());
  const personalFields = new PersonalFields(keys, !isShared);
  await requireMasterKey(personalFields);
  return personalFields;
}

/** Says at once, and not at the first user, that the master key is another one. */
async function requireMasterKey(personalFields: PersonalFields): Promise<void> {
  try {
    await personalFields.hashUserName('');
  } catch (error) {
    if (!(error instanceof EventStoreUnusableError)) throw error;
    throw new WrongMasterKeyError(error.message, { cause: error });
  }
}

/** Keys that are lost must not be replaced by new ones in silence. */
async function requireNothingSealed(
  eventStore: EventStore,
  { personalKeysFile }: DataDirectory,
): Promise<void> {
  for await (const event of eventStore.readAll({ filter: { streamPrefixes: ['machineUser-'] } })) {
    if (!isSealed(event)) continue;
    throw new EventStoreUnusableError(
      `${personalKeysFile} is missing: the log needs it, put it back from a backup`,
    );
  }
}
