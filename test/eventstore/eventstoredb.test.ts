import { describe, expect, it, onTestFinished, test } from 'vitest';
import type { ReadAllOptions } from '../../src/eventstore/event-store.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import {
  closedAfterTest,
  describeDamagedLogContract,
  describeEventStoreContract,
} from '../contract/event-store.contract.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { inProcess, serversUnderTest } from '../support/eventstoredb/servers.ts';
import { newEvents } from '../support/new-event.ts';
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

test('a read of the log asks for no more than it gives, and forwards for the event that it begins after', async () => {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  const store = closedAfterTest(openEventStoreDbEventStore({ connectionString: server.connectionString }));
  await store.append('a-1', newEvents(5), 'no_stream');
  const after = (await Array.fromAsync(store.readAll()))[2]?.position ?? 0n;
  const sentFor = async (options: ReadAllOptions) => {
    const before = server.sent;
    const events = await Array.fromAsync(store.readAll(options));
    return { given: events.length, sent: server.sent - before };
  };
  expect(await sentFor({ limit: 1 })).toEqual({ given: 1, sent: 1 });
  expect(await sentFor({ limit: 1, direction: 'backwards' })).toEqual({ given: 1, sent: 1 });
  expect(await sentFor({ limit: 1, direction: 'backwards', after })).toEqual({ given: 1, sent: 1 });
  expect(await sentFor({ limit: 1, after })).toEqual({ given: 1, sent: 2 });
});
