import { randomBytes, randomUUID } from 'node:crypto';
import { EventStoreDBClient } from '@eventstore/db-client';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import { openEventStoreDbEventStore } from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import type { PersonalKeys } from '../../src/eventstore/personal-keys.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { describeStoredPersonalKeysContract } from '../contract/personal-keys.contract.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { serversUnderTest } from '../support/eventstoredb/servers.ts';
import { newEvent } from '../support/new-event.ts';

const erasedAt = '2026-01-02T03:04:05.678Z';

function openKeys(connectionString: string, wrappingKeys: readonly Uint8Array[] = [new Uint8Array(32)]) {
  return closedAfterTest(openEventStoreDbEventStore({ connectionString })).personalKeys(wrappingKeys);
}

/** Keys of users that no other test has, on a server that others use too. */
function ofOtherUsers(keys: PersonalKeys, prefix: string): PersonalKeys {
  return {
    needsScavenge: keys.needsScavenge,
    prepare: () => keys.prepare(),
    keyOf: (userId) => keys.keyOf(prefix + userId),
    create: (userId) => keys.create(prefix + userId),
    destroy: (userId, date) => keys.destroy(prefix + userId, date),
    close: () => keys.close(),
  };
}

const servers = await serversUnderTest();

for (const server of servers) {
  if (server.unavailable === undefined) {
    describeStoredPersonalKeysContract(server.name, async () => {
      const connectionString = await server.connectionString();
      const prefix = `${randomUUID()}-`;
      return (wrappingKeys) => {
        const keys = openKeys(connectionString, wrappingKeys);
        return server.isShared ? ofOtherUsers(keys, prefix) : keys;
      };
    });
  } else {
    describe(`the contract of stored personal keys: ${server.name}`, () => {
      it('is held', ({ skip }) => skip(server.unavailable));
    });
  }
}

describe.each(servers.filter(({ unavailable }) => unavailable === undefined))('on $name', (server) => {
  it('a key is one and the same for all nodes, however they ask for it', async () => {
    const connectionString = await server.connectionString();
    const nodes = Array.from({ length: 4 }, () => openKeys(connectionString));
    const ids = Array.from({ length: 10 }, () => randomUUID());
    const made = await Promise.all(nodes.map((keys) => Promise.all(ids.map((id) => keys.create(id)))));
    for (const one of made) expect(one).toEqual(made[0]);
    const second = openKeys(connectionString);
    await Promise.all(ids.map((id, index) => nodes[index % 4]?.destroy(id, erasedAt)));
    await Promise.all(ids.map((id) => second.destroy(id, '2027-01-02T03:04:05.678Z')));
    expect(await Promise.all(ids.map((id) => nodes[0]?.keyOf(id)))).toEqual(ids.map(() => ({ erasedAt })));
  });

  it('a key that is destroyed while others make it or put it under a new master key is gone', async () => {
    const connectionString = await server.connectionString();
    const [old, current] = [randomBytes(32), randomBytes(32)];
    const [one, two] = [openKeys(connectionString, [old]), openKeys(connectionString, [current, old])];
    const ids = Array.from({ length: 20 }, () => randomUUID());
    await Promise.all(ids.map((id) => one.create(id)));
    await Promise.all([two.prepare(), ...ids.map((id) => one.destroy(id, erasedAt))]);
    await Promise.all(ids.map((id) => two.create(id)));
    expect(await Promise.all(ids.map((id) => two.keyOf(id)))).toEqual(ids.map(() => ({ erasedAt })));
  });

  it('a stream gives no key any more that was destroyed or put under a new master key', async () => {
    const connectionString = await server.connectionString();
    const [old, current] = [randomBytes(32), randomBytes(32)];
    const [erased, kept] = [randomUUID(), randomUUID()];
    const keys = openKeys(connectionString, [old]);
    for (const id of [erased, kept]) await keys.create(id);
    await keys.destroy(erased, erasedAt);
    await openKeys(connectionString, [current, old]).prepare();
    const revisions = async (id: string) => {
      const client = EventStoreDBClient.connectionString(connectionString);
      onTestFinished(() => client.dispose());
      const read = await Array.fromAsync(client.readStream(`personalKey-${id}`));
      return read.map(({ event }) => [Number(event?.revision), event?.type]);
    };
    expect(await revisions(erased)).toEqual([[1, 'PersonalKeyDestroyed']]);
    expect(await revisions(kept)).toEqual([[1, 'PersonalKeyWrappedAnew']]);
  });

  it('keys are not part of the log: not read, not followed, and not its end', async () => {
    const connectionString = await server.connectionString();
    const store = closedAfterTest(openEventStoreDbEventStore({ connectionString }));
    const stream = `machineUser-${randomUUID()}`;
    const { position } = await store.append(stream, [newEvent('one')], 'no_stream');
    const keys = openKeys(connectionString, [randomBytes(32)]);
    await keys.prepare();
    const id = randomUUID();
    await keys.create(id);
    await keys.destroy(id, erasedAt);
    const [last] = await Array.fromAsync(store.readAll({ direction: 'backwards', limit: 1 }));
    expect(last?.position).toBe(position);
    expect(await Array.fromAsync(store.readAll({ after: position }))).toEqual([]);
    const filters = [{ streamPrefixes: ['personalKey-'] }, { typePrefixes: ['PersonalKey'] }];
    for (const filter of filters) expect(await Array.fromAsync(store.readAll({ filter }))).toEqual([]);
    const followed: string[] = [];
    await store.append(stream, [newEvent('two')], 0n);
    for (const filter of [undefined, ...filters]) {
      const stop = new AbortController();
      const options = { after: position, signal: stop.signal, ...(filter && { filter }) };
      for await (const { events, caughtUp } of store.subscribe(options)) {
        followed.push(...events.map(({ data }) => String(data['label'])));
        if (caughtUp) stop.abort();
      }
    }
    expect(followed).toEqual(['two']);
  });
});

describe('personal keys in EventStoreDB', () => {
  async function startServer() {
    const server = await EventStoreDbServer.start();
    onTestFinished(() => server.stop());
    return server;
  }

  const ownStreams = (server: EventStoreDbServer) =>
    server.log.events.filter(({ stream }) => stream.includes('personalKey-'));

  it('are not in the store in the clear', async () => {
    const server = await startServer();
    const { key } = (await openKeys(server.connectionString).create('338')) as { key: Uint8Array };
    const forms = [
      Buffer.from(key),
      ...(['base64', 'base64url', 'hex'] as const).map((form) =>
        Buffer.from(Buffer.from(key).toString(form)),
      ),
    ];
    const found = ownStreams(server).filter(({ data }) =>
      forms.some((form) => Buffer.from(data).includes(form)),
    );
    expect(ownStreams(server)).toHaveLength(1);
    expect(found).toEqual([]);
  });

  it('are made and destroyed once, when the answers of the store are lost', async () => {
    const server = await startServer();
    const keys = openKeys(server.connectionString);
    const lost = { committed: true, error: { code: status.UNAVAILABLE, details: 'Server Is Too Busy' } };
    const failNext = () => {
      const faults = [lost];
      server.failAppend = () => faults.shift();
    };
    failNext();
    const key = await keys.create('338');
    expect(await keys.keyOf('338')).toEqual(key);
    failNext();
    await keys.destroy('338', erasedAt);
    expect(await keys.keyOf('338')).toEqual({ erasedAt });
    expect(ownStreams(server).map(({ type }) => type)).toEqual([
      'PersonalKeyCreated',
      '$metadata',
      'PersonalKeyDestroyed',
    ]);
  });

  const streamMetadata = (values: object) => {
    const data = Buffer.from(JSON.stringify(values));
    return { id: randomUUID(), type: '$metadata', contentType: 'application/json', data, metadata: data };
  };

  it('whose stream was truncated are lost, and neither made anew nor destroyed', async () => {
    const server = await startServer();
    const keys = openKeys(server.connectionString);
    await keys.create('338');
    server.log.append('$$personalKey-338', [streamMetadata({ $tb: 1 })], 'no_stream');
    for (const lost of [keys.create('338'), keys.destroy('338', erasedAt)])
      await expect(lost).rejects.toThrow(/personalKey-338 was truncated/);
  });

  it('keep what else the metadata of their streams says', async () => {
    const server = await startServer();
    const keys = openKeys(server.connectionString);
    await keys.create('338');
    server.log.append('$$personalKey-338', [streamMetadata({ $acl: { $r: 'keyturn' } })], 'no_stream');
    await keys.destroy('338', erasedAt);
    const last = server.log.stream('$$personalKey-338').at(-1);
    expect(JSON.parse(Buffer.from(last?.data ?? []).toString())).toEqual({
      $acl: { $r: 'keyturn' },
      $maxCount: 1,
    });
  });

  it.each([
    ['was never there', 0],
    ['was taken away since the last start', 1],
  ])('need the right to write metadata, and say at the start that it %s', async (_, startsBefore) => {
    const server = await startServer();
    for (let start = 0; start < startsBefore; start++) await openKeys(server.connectionString).prepare();
    server.failAppend = (stream) =>
      stream.startsWith('$$')
        ? { error: { code: status.PERMISSION_DENIED, details: 'Access Denied' } }
        : undefined;
    const refused = openKeys(server.connectionString).prepare();
    await expect(refused).rejects.toThrow(EventStoreUnusableError);
    await expect(refused).rejects.toThrow(/needs the right to write the metadata of streams \(\$mw\)/);
  });

  it('are copied to another store as they are, where what was destroyed stays destroyed', async () => {
    const wrappingKeys = [randomBytes(32)];
    const [here, there] = [await startServer(), await startServer()];
    const source = openKeys(here.connectionString, wrappingKeys);
    const ids = Array.from({ length: 80 }, (_, index) => `user-${index}`);
    const made = await Promise.all(ids.map((id) => source.create(id)));
    await source.destroy('user-1', erasedAt);
    const target = openKeys(there.connectionString, wrappingKeys);
    await target.destroy('user-2', erasedAt);
    const own = await target.create('user-3');
    const copy = await openKeys(here.connectionString, []).stored();
    for (let time = 0; time < 2; time++) await openKeys(there.connectionString, []).add(copy);
    const expected = made.with(1, { erasedAt }).with(2, { erasedAt }).with(3, own);
    expect(await Promise.all(ids.map((id) => target.keyOf(id)))).toEqual(expected);
  });
});
