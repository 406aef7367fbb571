import { describe, it } from 'vitest';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { closedAfterTest, describeEventStoreContract } from '../contract/event-store.contract.ts';
import { serversUnderTest } from '../support/eventstoredb/servers.ts';
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
