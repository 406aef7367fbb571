import { join } from 'node:path';
import { CommandHandler } from '../../src/application/command-handler.ts';
import { MachineUsers } from '../../src/application/machine-users.ts';
import { Owners } from '../../src/application/owners.ts';
import { PersonalFields } from '../../src/application/personal-fields.ts';
import { bcryptHasher, type SecretHasher } from '../../src/application/secret-hasher.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { temporaryFolder } from './temporary-folder.ts';

export const context = { editor: null, correlationId: 'test', causationId: 'test' };
export const organizationId = 'org-1';

export function emptyStore(): EventStore {
  return closedAfterTest(openSqliteEventStore({ file: join(temporaryFolder(), 'events.db') }));
}

/** A clock that stands still until the test moves it. */
export class TestClock {
  now = new Date('2026-01-02T03:04:05.678Z');
  readonly read = () => this.now;

  advance(milliseconds: number): void {
    this.now = new Date(this.now.getTime() + milliseconds);
  }
}

/** The command side of one process on a store: what one of several nodes would run. Without a read model. */
export function node(
  eventStore: EventStore,
  clock = new TestClock(),
  hasher: SecretHasher = bcryptHasher(4),
  personalFields = new PersonalFields(),
) {
  const waitForReadModel = async () => {};
  const commands = new CommandHandler({ eventStore, clock: clock.read, waitForReadModel, personalFields });
  const owners = new Owners(commands);
  const machineUsers = new MachineUsers(commands, hasher, owners, personalFields);
  return { commands, owners, machineUsers, clock };
}

export const robot = {
  organizationId,
  userName: 'robot',
  name: 'Robot',
  description: '',
  accessTokenType: 'bearer',
} as const;
