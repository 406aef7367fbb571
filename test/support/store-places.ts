import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import type { ServiceConfig } from '../../src/service.ts';
import { EventStoreDbServer } from './eventstoredb/server.ts';

/** Where a service of the running test has its log. */
export interface StorePlace {
  readonly config: Partial<ServiceConfig> & { readonly masterKey: Uint8Array };
  /** Another look at the log, beside the service or without it. */
  open(dataDir: string, options?: { readonly readOnly: boolean }): EventStore;
}

const masterKey = new Uint8Array(32).fill(7);
const externalUrl = 'https://keyturn.example';

async function embedded(): Promise<StorePlace> {
  return {
    config: { masterKey },
    open: (dataDir, { readOnly } = { readOnly: true }) =>
      openSqliteEventStore({ file: join(dataDir, 'events.db'), readOnly }),
  };
}

async function shared(): Promise<StorePlace> {
  const { config, connectionString } = await sharedServer();
  return { config, open: () => openEventStoreDbEventStore({ connectionString }) };
}

/** An EventStoreDB, and the settings of a node on it. */
export async function sharedServer() {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  const { connectionString } = server;
  return { server, connectionString, config: { eventStore: connectionString, masterKey, externalUrl } };
}

/** For suites that hold wherever the log is. */
export const storePlaces = [
  { name: 'the embedded store', newPlace: embedded, isShared: false },
  { name: 'EventStoreDB', newPlace: shared, isShared: true },
] as const;
