import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventStoreUnavailableError, EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import type { EventStore, ExpectedRevision, SubscribeOptions } from '../../src/eventstore/event-store.ts';
import {
  type EventStoreDbOptions,
  openEventStoreDbEventStore,
} from '../../src/eventstore/eventstoredb/eventstoredb-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { type AppendFault, EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { newEvent, newEvents } from '../support/new-event.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const unavailable = { code: status.UNAVAILABLE, details: 'Server Is Too Busy' };

async function startServer(options?: Parameters<typeof EventStoreDbServer.start>[0]) {
  const server = await EventStoreDbServer.start(options);
  onTestFinished(() => server.stop());
  return server;
}

/** A store with short times, so that tests need not wait for long ones. */
function open(port: number, options: Partial<EventStoreDbOptions> = {}): EventStore {
  return closedAfterTest(
    openEventStoreDbEventStore({
      connectionString: `esdb://127.0.0.1:${port}?tls=false&defaultDeadline=10000`,
      ...options,
    }),
  );
}

/** The first appends to go wrong, in order; all others do not. */
function failFirst(server: EventStoreDbServer, ...faults: AppendFault[]): void {
  server.failAppend = () => faults.shift();
}

const labelsOf = async (store: EventStore, stream: string) =>
  (await Array.fromAsync(store.readStream(stream))).map((event) => event.data['label']);

/** Follows the log from its begin. Positions are checked as they come: an event that comes twice or too late fails. */
function follow(store: EventStore, options: SubscribeOptions = {}) {
  const labels: unknown[] = [];
  let last = 0n;
  let reported = 0n;
  const abort = new AbortController();
  const done = (async () => {
    for await (const batch of store.subscribe({ signal: abort.signal, ...options })) {
      for (const event of batch.events) {
        expect(event.position).toBeGreaterThan(last);
        last = event.position;
        labels.push(event.data['label']);
      }
      expect(batch.position).toBeGreaterThanOrEqual(reported);
      reported = batch.position;
    }
  })();
  return {
    labels,
    done,
    async until(count: number): Promise<unknown[]> {
      await expect.poll(() => labels.length, { interval: 10 }).toBeGreaterThanOrEqual(count);
      abort.abort();
      await done;
      return labels;
    },
  };
}

describe('an append with an unknown outcome', () => {
  const outcomes: [string, (proxy: TcpProxy) => AppendFault][] = [
    ['is lost with its connection', (proxy) => ({ also: () => proxy.cut() })],
    ['is written, and its answer is lost', (proxy) => ({ committed: true, also: () => proxy.cut() })],
    ['is written, and the store says that it is too busy', () => ({ committed: true, error: unavailable })],
    [
      'is written, and the store says that it timed out',
      () => ({ committed: true, error: { code: status.ABORTED, details: 'Operation timed out: prepare' } }),
    ],
    [
      'is written, and the store breaks off',
      () => ({ committed: true, error: { code: status.CANCELLED, details: 'shutting down' } }),
    ],
    [
      'is written, and the store finds no leader',
      () => ({
        committed: true,
        error: { code: status.UNKNOWN, details: 'No leader info available in response' },
      }),
    ],
  ];
  it.each(outcomes)('%s: is repeated and lands once', async (_, fault) => {
    const server = await startServer();
    const proxy = await TcpProxy.to(server.port);
    const store = open(proxy.port);
    const before = await store.append('a-1', newEvents(2), 'no_stream');
    const expected: ExpectedRevision[] = ['any', before.revision];
    for (const [index, expectedRevision] of expected.entries()) {
      failFirst(server, fault(proxy), fault(proxy));
      const { revision, position } = await store.append(
        `b-${index}`,
        [newEvent('one'), newEvent('two')],
        typeof expectedRevision === 'bigint' ? 'no_stream' : expectedRevision,
      );
      expect(revision).toBe(1n);
      const stored = await Array.fromAsync(store.readStream(`b-${index}`));
      expect(stored.map((event) => event.data['label'])).toEqual(['one', 'two']);
      expect(stored.at(-1)?.position).toBe(position);
    }
  });

  it('is a conflict when another writer has taken the revision meanwhile', async () => {
    const server = await startServer();
    const store = open(server.port);
    await store.append('a-1', [newEvent('first')], 'no_stream');
    const other = open(server.port);
    let repeat = Promise.resolve();
    failFirst(server, {
      error: unavailable,
      also: () => {
        repeat = other.append('a-1', [newEvent('other')], 0n).then(() => {});
      },
    });
    const append = store.append('a-1', [newEvent('mine')], 0n);
    await expect(append).rejects.toMatchObject({ code: 'WRONG_EXPECTED_REVISION', actual: 1n });
    await repeat;
    expect(await labelsOf(store, 'a-1')).toEqual(['first', 'other']);
  });

  it('fails with a typed error when the store never answers, in bounded time', async () => {
    const server = await startServer();
    server.failAppend = () => ({});
    const store = open(server.port, {
      connectionString: `${server.connectionString}&defaultDeadline=100`,
      giveUpAfter: 300,
    });
    const startedAt = performance.now();
    await expect(store.append('a-1', [newEvent()], 'any')).rejects.toThrow(EventStoreUnavailableError);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(server.calls.filter((call) => call === 'Append').length).toBeGreaterThan(1);
  });

  it('fails with a typed error on a connection that has gone silent', async () => {
    const server = await startServer();
    const proxy = await TcpProxy.to(server.port);
    const store = open(proxy.port, {
      connectionString: `esdb://127.0.0.1:${proxy.port}?tls=false&defaultDeadline=1500`,
      giveUpAfter: 2000,
    });
    await store.append('a-1', [newEvent()], 'any');
    proxy.stall();
    await expect(store.append('a-1', [newEvent()], 'any')).rejects.toThrow(EventStoreUnavailableError);
    await expect(labelsOf(store, 'a-1')).rejects.toThrow(EventStoreUnavailableError);
  });
});

describe('faults of one stream', () => {
  const faults: [string, AppendFault][] = [
    ['an error', { error: { code: status.UNAVAILABLE, details: 'Server Is Too Busy' } }],
    ['a broken call', { error: { code: status.INTERNAL, details: 'Received RST_STREAM with code 2' } }],
    ['no answer', {}],
  ];
  it.each(faults)('leave the appends to other streams alone: %s', async (_, fault) => {
    const server = await startServer();
    const store = open(server.port, {
      // Only the call without an answer comes to its end.
      connectionString: `${server.connectionString}&defaultDeadline=8000`,
      giveUpAfter: 300,
    });
    const called = new Map<string, number>();
    server.failAppend = (stream) => {
      called.set(stream, (called.get(stream) ?? 0) + 1);
      return stream === 'bad' ? fault : undefined;
    };
    const bad = store.append('bad', [newEvent()], 'no_stream');
    const others = newEvents(200).map((event, index) => store.append(`good-${index}`, [event], 'no_stream'));
    const [failed, ...landed] = await Promise.allSettled([bad, ...others]);
    expect(failed).toMatchObject({ status: 'rejected', reason: expect.any(EventStoreUnavailableError) });
    expect(landed.map(({ status: outcome }) => outcome)).toEqual(Array(200).fill('fulfilled'));
    called.delete('bad');
    // Not even one of them was repeated.
    expect([...called.values()]).toEqual(Array(200).fill(1));
    expect(server.calls).not.toContain('BatchAppend');
  });

  it("would reject them on the client's own path, which is why it is not used", async () => {
    const server = await startServer();
    server.failAppend = (stream) => {
      if (stream === 'bad') return { error: unavailable };
      return stream === 'slow' ? {} : undefined;
    };
    const [one, another] = [1, 2].map(() => EventStoreDBClient.connectionString(server.connectionString));
    const event = () => jsonEvent({ type: 'Any', data: {} });
    const slow = one?.appendToStream('slow', event());
    await expect.poll(() => server.calls).toContain('BatchAppend');
    await expect(another?.appendToStream('bad', event())).rejects.toThrow(/Too Busy/);
    await expect(slow).rejects.toThrow(/Too Busy/);
    await Promise.all([one?.dispose(), another?.dispose()]);
  });
});

describe('a store that is down', () => {
  it('is reached again when it is back, by the same event store', async () => {
    const server = await startServer();
    const reachable: boolean[] = [];
    const store = open(server.port, { giveUpAfter: 200, onReachable: (is) => reachable.push(is) });
    server.stop();
    await expect(store.append('a-1', [newEvent('lost')], 'any')).rejects.toThrow(EventStoreUnavailableError);
    await expect(labelsOf(store, 'a-1')).rejects.toThrow(EventStoreUnavailableError);
    await server.start();
    await expect
      .poll(() => store.append('a-1', [newEvent('kept')], 'any').then(() => 'appended'))
      .toBe('appended');
    expect(await labelsOf(store, 'a-1')).toEqual(['kept']);
    expect(reachable).toEqual([false, true]);
  });

  it('is waited for by a subscription that begins before it', async () => {
    const server = await startServer();
    const { port } = server;
    server.stop();
    const interruptions: Error[] = [];
    const following = follow(open(port, { onInterruption: (fault) => interruptions.push(fault) }));
    await expect.poll(() => interruptions.length).toBeGreaterThan(0);
    await server.start();
    await open(port).append('a-1', [newEvent('1')], 'any');
    expect(await following.until(1)).toEqual(['1']);
  });
});

describe('a cluster', () => {
  async function cluster() {
    const first = await startServer();
    const second = await startServer({ log: first.log });
    second.leader = first;
    return { first, second };
  }

  it('is written and followed at its leader, whichever node is named', async () => {
    const { first, second } = await cluster();
    const store = open(second.port);
    const following = follow(store);
    await store.append('a-1', [newEvent('1')], 'no_stream');
    expect(await following.until(1)).toEqual(['1']);
    expect(first.calls).toContain('Append');
  });

  it('is followed and written through a change of its leader', async () => {
    const { first, second } = await cluster();
    const store = open(first.port);
    const following = follow(store);
    await store.append('a-1', [newEvent('1')], 'no_stream');
    second.leader = undefined;
    first.leader = second;
    await store.append('a-1', [newEvent('2')], 0n);
    first.stop();
    await store.append('a-1', [newEvent('3')], 1n);
    expect(await following.until(3)).toEqual(['1', '2', '3']);
  });

  it.each([
    ['several nodes', (one: number, two: number) => `esdb://127.0.0.1:${one},127.0.0.1:${two}?tls=false`],
    ['a name to discover', (one: number) => `esdb+discover://127.0.0.1:${one}?tls=false`],
    ['KurrentDB', (one: number) => `kurrentdb+discover://127.0.0.1:${one}?tls=false`],
  ])('is found by gossip: %s', async (_, connectionString) => {
    const { first, second } = await cluster();
    const store = open(0, { connectionString: connectionString(second.port, first.port) });
    expect((await store.append('a-1', [newEvent()], 'no_stream')).revision).toBe(0n);
    expect(second.calls).not.toContain('Append');
  });
});

describe('a subscription', () => {
  it('misses nothing and repeats nothing while its connection breaks again and again', async () => {
    const server = await startServer();
    const proxy = await TcpProxy.to(server.port);
    const writer = open(server.port);
    const followings = [undefined, { typePrefixes: ['Some'] }].map((filter) =>
      follow(open(proxy.port), filter && { filter }),
    );
    for (let index = 0; index < 300; index++) {
      await writer.append(`a-${index % 7}`, [newEvent(String(index))], 'any');
      if (index % 60 === 30) server.log.appendOwn('$statsCollected');
      if (index % 25 !== 0) continue;
      // Each break falls into a subscription that has come some way.
      await expect
        .poll(() => Math.min(...followings.map(({ labels }) => labels.length)), { interval: 5 })
        .toBeGreaterThan(index);
      proxy.cut();
    }
    const expected = Array.from({ length: 300 }, (_, index) => String(index));
    for (const following of followings) expect(await following.until(300)).toEqual(expected);
  });

  it('is opened anew when the store goes silent though it has more', async () => {
    const server = await startServer();
    const faults: Error[] = [];
    const store = open(server.port, { silenceLimit: 50, onInterruption: (fault) => faults.push(fault) });
    const following = follow(store);
    await store.append('a-1', [newEvent('1')], 'any');
    await expect.poll(() => following.labels).toEqual(['1']);
    server.isMute = true;
    await store.append('a-1', [newEvent('2')], 'any');
    await expect.poll(() => faults.length).toBeGreaterThan(0);
    expect(faults[0]?.message).toMatch(/holds an event at position \d+ and does not send it/);
    server.isMute = false;
    expect(await following.until(2)).toEqual(['1', '2']);
  });

  it('is left alone while there is nothing to send', async () => {
    const server = await startServer();
    const faults: Error[] = [];
    const store = open(server.port, { silenceLimit: 20, onInterruption: (fault) => faults.push(fault) });
    const following = follow(store, { filter: { typePrefixes: ['Rare'] } });
    for (let index = 0; index < 5; index++) await store.append('a-1', newEvents(10), 'any');
    const reads = () => server.calls.filter((call) => call === 'Read').length;
    const before = reads();
    await expect.poll(reads).toBeGreaterThan(before + 3);
    await store.append('a-1', [newEvent('rare', 'RareThing')], 'any');
    expect(await following.until(1)).toEqual(['rare']);
    expect(faults).toEqual([]);
    expect(server.calls.filter((call) => call === 'Subscribe')).toHaveLength(1);
  });

  it('gives the events that come after a checkpoint which ran ahead of them', async () => {
    const server = await startServer();
    server.skipsAhead = true;
    const store = open(server.port);
    await store.append('a-1', newEvents(40), 'any');
    await store.append('b-1', [newEvent('1'), newEvent('2')], 'any');
    await store.append('a-1', newEvents(40), 'any');
    const following = follow(store, { filter: { streamPrefixes: ['b-'] } });
    expect(await following.until(2)).toEqual(['1', '2']);
  });

  it('makes the store wait for a slow reader, and loses nothing', async () => {
    const server = await startServer();
    const store = open(server.port);
    const text = 'x'.repeat(5000);
    const total = 4000;
    for (let index = 0; index < total; index += 100) {
      const events = newEvents(100).map((event) => ({ ...event, data: { ...event.data, text } }));
      await store.append('a-1', events, 'any');
    }
    let seen = 0;
    for await (const batch of store.subscribe()) {
      if (seen === 0) {
        let before = -1;
        // Until the server can hand over no more.
        while (server.sent > before) {
          before = server.sent;
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
        expect(server.sent).toBeLessThan(total);
      }
      seen += batch.events.length;
      if (seen >= total) break;
    }
    expect(seen).toBe(total);
  });

  it('ends with an error when the store has no such position', async () => {
    const server = await startServer();
    const store = open(server.port);
    const { position } = await store.append('a-1', newEvents(3), 'any');
    const other = store.subscribe({ after: position - 1n });
    await expect(Array.fromAsync(other)).rejects.toThrow(EventStoreUnusableError);
  });
});

describe('an event that is said to be JSON and is not', () => {
  it.each(['data', 'metadata'] as const)('is named, and not left out: its %s', async (part) => {
    const server = await startServer();
    const store = open(server.port);
    await store.append('a-1', newEvents(2), 'no_stream');
    Object.assign(server.log.stream('a-1')[1] ?? {}, { [part]: Buffer.from('\0\0\0') });
    const read = [store.readAll(), store.readStream('a-1'), store.subscribe()];
    for (const events of read) {
      await expect(Array.fromAsync<unknown>(events)).rejects.toMatchObject({
        code: 'UNREADABLE_EVENT',
        stream: 'a-1',
        revision: 1n,
      });
    }
  });

  it('ends a subscription after all that stands before it', async () => {
    const server = await startServer();
    const store = open(server.port);
    await store.append('a-1', [newEvent('1'), newEvent('2'), newEvent('3')], 'no_stream');
    Object.assign(server.log.stream('a-1')[2] ?? {}, { data: Buffer.from('\0') });
    const following = follow(store);
    await expect(following.done).rejects.toMatchObject({ code: 'UNREADABLE_EVENT', revision: 2n });
    expect(following.labels).toEqual(['1', '2']);
  });
});

describe('closing', () => {
  it('lets go of every connection', async () => {
    const server = await startServer();
    const proxy = await TcpProxy.to(server.port);
    const store = open(proxy.port);
    const following = follow(store);
    await store.append('a-1', [newEvent('1')], 'any');
    await expect.poll(() => following.labels.length).toBe(1);
    expect(proxy.connections).toBeGreaterThan(0);
    await store.close();
    await expect.poll(() => proxy.connections).toBe(0);
  });

  it('of a store that cannot be reached is over as soon as its appends have given up', async () => {
    const server = await startServer();
    const store = open(server.port, { giveUpAfter: 200 });
    server.stop();
    const append = store.append('a-1', [newEvent()], 'any');
    const subscription = Array.fromAsync(store.subscribe());
    await Promise.all([expect(append).rejects.toThrow(EventStoreUnavailableError), store.close()]);
    expect(await subscription).toEqual([]);
  });
});

it('keeps every acknowledged event, once and in order, while the store is killed under 32 writers and two subscribers', async () => {
  const server = await startServer();
  const { port } = server;
  const subscribers = [follow(open(port)), follow(open(port), { filter: { streamPrefixes: ['w-'] } })];
  const acknowledged = new Map<string, string[]>();
  let isOver = false;
  const writers = Array.from({ length: 32 }, async (_, writer) => {
    const store = open(port, { giveUpAfter: 15_000 });
    const stream = `w-${writer}`;
    const labels: string[] = [];
    acknowledged.set(stream, labels);
    let expected: bigint | 'no_stream' = 'no_stream';
    for (let index = 0; !isOver; index++) {
      const label = `${writer}/${index}`;
      const { revision } = await store.append(stream, [newEvent(label)], expected);
      labels.push(label);
      expect(revision).toBe(BigInt(index));
      expected = revision;
    }
  });
  for (let kill = 0; kill < 4; kill++) {
    const before = server.log.events.length;
    await expect.poll(() => server.log.events.length, { interval: 5 }).toBeGreaterThan(before + 200);
    server.stop();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server.start();
  }
  isOver = true;
  await Promise.all(writers);
  const log = server.log.events.filter((event) => event.stream.startsWith('w-'));
  const store = open(port);
  for (const [stream, labels] of acknowledged) expect(await labelsOf(store, stream)).toEqual(labels);
  for (const subscriber of subscribers) {
    const labels = await subscriber.until(log.length);
    expect(labels).toEqual(log.map((event) => JSON.parse(Buffer.from(event.data).toString()).label));
  }
}, 120_000);
