import { type MasterKeys, WrongMasterKeyError } from './application/master-keys.ts';
import { isSealed, type PersonalFields } from './application/personal-fields.ts';
import type { DataDirectory } from './data-directory.ts';
import { EventStoreUnusableError, WrongWrappingKeyError } from './eventstore/errors.ts';
import type { EventStore } from './eventstore/event-store.ts';
import type { SqlitePersonalKeysOptions } from './eventstore/sqlite/sqlite-personal-keys.ts';

/** What personal keys are under. */
export function wrappingKeys(masterKeys: MasterKeys): Uint8Array[] {
  return masterKeys.derive('personal keys');
}

/** What the keys in the data directory are opened with. Plain data, so that a thread can be told. */
export function personalKeysOptions(
  { personalKeysFile: file }: DataDirectory,
  masterKeys: MasterKeys,
): SqlitePersonalKeysOptions {
  return { file, wrappingKeys: wrappingKeys(masterKeys) };
}

/**
 * Before a service reads or writes personal fields. It makes no key: that waits until the master key has opened what is in the log.
 *
 * @param place where the keys are
 * @throws EventStoreUnusableError the keys are lost, or could not be destroyed
 * @throws WrongMasterKeyError they are not under the master key
 */
export async function preparePersonalFields(
  personalFields: PersonalFields,
  eventStore: EventStore,
  place: string,
): Promise<void> {
  await personalFields.prepare();
  if (await hasBegun(personalFields)) return;
  // Keys that are lost must not be replaced by new ones in silence.
  if (await isAnythingSealed(eventStore)) {
    throw new EventStoreUnusableError(
      `the keys of personal fields are missing in ${place}: the log needs them, put them back from a backup`,
    );
  }
}

/** Says at once, and not at the first user, that the master key is another one. */
async function hasBegun(personalFields: PersonalFields): Promise<boolean> {
  try {
    return await personalFields.hasBegun();
  } catch (error) {
    if (!(error instanceof WrongWrappingKeyError)) throw error;
    throw new WrongMasterKeyError(error.message, { cause: error });
  }
}

async function isAnythingSealed(eventStore: EventStore): Promise<boolean> {
  for await (const event of eventStore.readAll({ filter: { streamPrefixes: ['machineUser-'] } })) {
    if (isSealed(event)) return true;
  }
  return false;
}
