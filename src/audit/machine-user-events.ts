import type { PersonalFields } from '../application/personal-fields.ts';
import {
  idOfStream,
  machineSecretUse,
  machineUser,
  organization,
  streamOf,
  userName,
} from '../domain/aggregates.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { AuditError } from './audit-error.ts';

const lastEvent = { direction: 'backwards', limit: 1 } as const;

/** Streams that hold who has which role: those of the organizations, and the instance's. */
const memberStreams = { streamPrefixes: [`${organization.category}-`, 'instance-'] };

/**
 * The id of the machine user that `idOrName` names, also of one that was removed: an id, else the user name of the last
 * user who held it, unless that user was erased.
 *
 * @throws AuditError there never was such a user
 */
export async function findMachineUser(
  {
    eventStore,
    personalFields,
  }: { readonly eventStore: EventStore; readonly personalFields: PersonalFields },
  idOrName: string,
): Promise<string> {
  for await (const _ of eventStore.readStream(streamOf(machineUser, idOrName), { limit: 1 })) return idOrName;
  const name = normalizeUserName(idOrName);
  for (const id of [await personalFields.hashUserName(name), name]) {
    const names = id === undefined ? [] : eventStore.readStream(streamOf(userName, id), lastEvent);
    for await (const { data } of names) {
      const userId = String(data['userId']);
      if ((await personalFields.stateOf(userId)) !== 'erased') return userId;
    }
  }
  throw new AuditError(`there is no machine user with the id or the user name ${JSON.stringify(idOrName)}`);
}

/**
 * All events that are about one machine user, in log order: those of its stream, of the use of its secrets, and of its
 * roles anywhere.
 */
export async function* eventsOfMachineUser(
  eventStore: EventStore,
  userId: string,
): AsyncGenerator<RecordedEvent> {
  yield* mergedByPosition(
    mergedByPosition(
      eventStore.readStream(streamOf(machineUser, userId)),
      eventStore.readStream(streamOf(machineSecretUse, userId)),
    ),
    memberEvents(eventStore, userId),
  );
}

async function* memberEvents(eventStore: EventStore, userId: string): AsyncGenerator<RecordedEvent> {
  for await (const event of eventStore.readAll({ filter: memberStreams })) {
    if (event.data['userId'] === userId) yield event;
  }
}

async function* mergedByPosition(
  a: AsyncIterable<RecordedEvent>,
  b: AsyncIterable<RecordedEvent>,
): AsyncGenerator<RecordedEvent> {
  const [left, right] = [a[Symbol.asyncIterator](), b[Symbol.asyncIterator]()];
  let [first, second] = await Promise.all([left.next(), right.next()]);
  while (!first.done || !second.done) {
    if (second.done || (!first.done && first.value.position < second.value.position)) {
      yield first.value as RecordedEvent;
      first = await left.next();
    } else {
      yield second.value as RecordedEvent;
      second = await right.next();
    }
  }
}

/** Finds the user names of users by their ids, and remembers them. */
export class UserNameIndex {
  readonly #eventStore: EventStore;
  readonly #names = new Map<string, Promise<string | undefined>>();

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
  }

  /** The last user name that the user had; undefined when it never had one. */
  nameOf(userId: string): Promise<string | undefined> {
    let name = this.#names.get(userId);
    if (name === undefined) {
      name = this.#read(userId);
      this.#names.set(userId, name);
    }
    return name;
  }

  async #read(userId: string): Promise<string | undefined> {
    let name: string | undefined;
    for await (const { type, data } of this.#eventStore.readStream(streamOf(machineUser, userId))) {
      if (type === 'MachineUserAdded' || type === 'MachineUserNameChanged') name = String(data['userName']);
    }
    return name;
  }
}

/** The organization whose stream this is; undefined for the instance's. */
export function organizationOfStream(stream: string): string | undefined {
  return stream.startsWith(`${organization.category}-`) ? idOfStream(stream) : undefined;
}
