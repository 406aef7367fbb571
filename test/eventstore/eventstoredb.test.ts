import { describe, it, onTestFinished } from 'vitest';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import {
  closedAfterTest,
  describeDamagedLogContract,
  describeEventStoreContract,
} from '../contract/event-store.contract.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { inProcess, serversUnderTest } from '../support/eventstoredb/servers.ts';
import { emptyPartOf } from '../support/shared-store.ts';

for (const server of await serversUnderTest()) {
  if (server.unavailable === undefined) {
    describeEventStoreContract(server.name, async () => {
      const connectionString = await server.connectionString();
      const store = closedAfterTest(openEventStoreDbEventStore({ connectionString }));
      return server.isShared ? closedAfterTest(await emptyPartOf(store)) : store;
    });
  } else {
    describe(`the event store contract: ${server.name}`, () => {
      it('is held', ({ skip }) => skip(server.unavailable));
    });
  }
}

describeDamagedLogContract(inProcess.name, async () => {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  const { connectionString } = server;
  return {
    store: closedAfterTest(openEventStoreDbEventStore({ connectionString })),
    damage({ stream, revision }) {
      const stored = server.log.stream(stream)[Number(revision)] ?? {};
      const whole = { ...stored };
      Object.assign(stored, { data: Buffer.from('{') });
      return () => Object.assign(stored, whole);
    },
  };
});
