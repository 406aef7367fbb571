import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { withAuditedLog, withReadableLog } from '../../src/cli/audited-log.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { auditedLog } from '../support/audited-log.ts';
import { RefusedReadError } from '../support/eventstoredb/reads.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** What a command says on standard error. */
async function saidBy(command: (say: (text: string) => void) => Promise<void>): Promise<string> {
  const said: unknown[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(text) > 0);
  const { exitCode } = process;
  onTestFinished(() => {
    write.mockRestore();
    process.exitCode = exitCode;
  });
  await command((text) => void said.push(text));
  return said.join('');
}

/** What a command that shows who users are says when it has no master key. */
function saidWithoutMasterKey(server: EventStoreDbServer): Promise<string> {
  const settings = { dataDir: temporaryFolder(), eventStore: server.connectionString };
  return saidBy((say) => withReadableLog(settings, async () => say('it ran')));
}

test('an event that cannot be read is named in one line', async () => {
  const { folder, tamper } = await auditedLog();
  tamper(`UPDATE events SET data = '{' WHERE stream = 'machineUser-one' AND revision = 3`);
  const said = await saidBy((say) =>
    withAuditedLog({ dataDir: folder, eventStore: 'sqlite' }, async ({ eventStore }) => {
      say(`${(await Array.fromAsync(eventStore.readAll())).length} events`);
    }),
  );
  expect(said).toMatch(/^keyturn: event 3 of stream machineUser-one, at position \d+, is not readable\n$/);
  expect(process.exitCode).toBe(1);
});

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
