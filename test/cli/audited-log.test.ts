import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { withReadableLog } from '../../src/cli/audited-log.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { RefusedReadError } from '../support/eventstoredb/reads.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** What a command that shows who users are says when it has no master key. */
async function saidWithoutMasterKey(server: EventStoreDbServer): Promise<string> {
  const said: unknown[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(text) > 0);
  const { exitCode } = process;
  onTestFinished(() => {
    write.mockRestore();
    process.exitCode = exitCode;
  });
  const settings = { dataDir: temporaryFolder(), eventStore: server.connectionString };
  await withReadableLog(settings, async () => void said.push('it ran'));
  return said.join('');
}

test.each([
  ['a store that refuses the credentials is not taken for one with keys', true, /^keyturn: .*bad password/],
  ['a store with keys needs the master key', false, /^keyturn: .*the master key is needed/],
])('%s', async (_, isRefusing, expected) => {
  const server = await EventStoreDbServer.start();
  onTestFinished(() => server.stop());
  const { connectionString } = server;
  await closedAfterTest(openEventStoreDbEventStore({ connectionString }))
    .personalKeys([randomBytes(32)])
    .create('');
  if (isRefusing) {
    server.beforeRead = () => Promise.reject(new RefusedReadError(status.UNAUTHENTICATED, 'bad password'));
  }
  expect(await saidWithoutMasterKey(server)).toMatch(expected);
});
