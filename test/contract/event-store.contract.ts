import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  AppendTooLargeError,
  EventStoreClosedError,
  UnreadableEventError,
  WrongExpectedRevisionError,
} from '../../src/eventstore/errors.ts';
import type {
  Direction,
  EventStore,
  ExpectedRevision,
  NewEvent,
  ReadAllOptions,
  RecordedEvent,
  SubscribeOptions,
} from '../../src/eventstore/event-store.ts';
import { headOf } from '../../src/eventstore/head.ts';
import { newEvent, newEvents } from '../support/new-event.ts';

/** Opens an empty store for the running test and arranges that it is closed. */
export type OpenStore = () => Promise<EventStore>;

const labels = (events: readonly RecordedEvent[]) => events.map((event) => event.data['label']);
const read = (store: EventStore, stream: string) => Array.fromAsync(store.readStream(stream));
const anyStream = () => `stream-${randomUUID()}`;

const actualRevision = (held: number) => (held === 0 ? 'no_stream' : BigInt(held - 1));
const isAsExpected = (expected: ExpectedRevision, held: number) =>
  expected === 'any' || expected === actualRevision(held) || (expected === 'stream_exists' && held > 0);

/** Collects from a subscription until `count` events have come, then ends it. */
async function take(
  store: EventStore,
  count: number,
  options: SubscribeOptions = {},
): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const batch of store.subscribe(options)) {
    events.push(...batch.events);
    if (events.length >= count) break;
  }
  return events;
}

/** Those from which on the store says that a stream of so many events has none. */
function deniedRevisions(store: EventStore, stream: string, held: number): bigint[] {
  const revisions = Array.from({ length: held }, (_, revision) => BigInt(revision));
  return revisions.filter((from) => store.endsBefore?.(stream, from));
}

/** What every adapter of the EventStore port promises. A new adapter runs this suite unchanged. */
export function describeEventStoreContract(name: string, openStore: OpenStore): void {
  describe(`the event store contract: ${name}`, () => {
    describe('append', () => {
      it('counts revisions from 0 in each stream and gives positions that grow', async () => {
        const store = await openStore();
        const first = await store.append('a-1', [newEvent()], 'no_stream');
        const second = await store.append('a-1', newEvents(3), 0n);
        const other = await store.append('b-1', [newEvent()], 'no_stream');
        expect([first.revision, second.revision, other.revision]).toEqual([0n, 3n, 0n]);
        expect(first.position).toBeLessThan(second.position);
        expect(second.position).toBeLessThan(other.position);
      });

      it('gives back exactly what was appended', async () => {
        const store = await openStore();
        const event: NewEvent = {
          id: randomUUID(),
          type: 'Ünïcode',
          data: { text: '\u0000 "quoted" \u{1F511}', list: [1, null, { deep: true }], number: 1.5 },
          metadata: { $correlationId: 'c' },
        };
        const { revision, position } = await store.append('a-1', [event], 'any');
        const [recorded] = await read(store, 'a-1');
        expect(recorded).toMatchObject({ ...event, stream: 'a-1', revision, position });
        expect(recorded?.recordedAt).toBeInstanceOf(Date);
      });

      it('appends all events or none', async () => {
        const store = await openStore();
        await store.append('a-1', newEvents(2), 'no_stream');
        await expect(store.append('a-1', newEvents(3), 0n)).rejects.toThrow(WrongExpectedRevisionError);
        expect(await read(store, 'a-1')).toHaveLength(2);
      });

      it('refuses more than 1 MiB in one append and stores nothing of it', async () => {
        const store = await openStore();
        const large = { ...newEvent(), data: { text: 'x'.repeat(1024 * 1024) } };
        await expect(store.append('a-1', [newEvent(), large], 'any')).rejects.toThrow(AppendTooLargeError);
        expect(await read(store, 'a-1')).toEqual([]);
      });

      it.each([
        ['no events', 'a-1', []],
        ['an id that is no UUID', 'a-1', [{ ...newEvent(), id: 'one' }]],
        ['no type', 'a-1', [{ ...newEvent(), type: '' }]],
        ['no stream name', '', [newEvent()]],
        ['one id twice', 'a-1', Array(2).fill(newEvent())],
      ])('refuses %s', async (_, stream, events) => {
        const store = await openStore();
        await expect(store.append(stream, events, 'any')).rejects.toThrow(TypeError);
      });
    });

    /**
     * Each line: how many events the stream holds, the expected revision, and the outcome: the revision that
     * the append returns, or the actual revision of the conflict.
     */
    describe('the four modes of expected revision', () => {
      const table: [
        held: number,
        expected: ExpectedRevision,
        outcome: bigint | { actual: bigint | 'no_stream' },
      ][] = [
        [0, 'any', 0n],
        [0, 'no_stream', 0n],
        [0, 'stream_exists', { actual: 'no_stream' }],
        [0, 0n, { actual: 'no_stream' }],
        [0, 5n, { actual: 'no_stream' }],
        [3, 'any', 3n],
        [3, 'no_stream', { actual: 2n }],
        [3, 'stream_exists', 3n],
        [3, 1n, { actual: 2n }],
        [3, 2n, 3n],
        [3, 3n, { actual: 2n }],
      ];
      it.each(table)('holding %d, expecting %s: %s', async (held, expected, outcome) => {
        const store = await openStore();
        if (held > 0) await store.append('a-1', newEvents(held), 'no_stream');
        const append = store.append('a-1', [newEvent()], expected);
        if (typeof outcome === 'bigint') {
          expect((await append).revision).toBe(outcome);
        } else {
          await expect(append).rejects.toMatchObject({
            code: 'WRONG_EXPECTED_REVISION',
            stream: 'a-1',
            expected,
            actual: outcome.actual,
          });
        }
      });

      it('lets exactly one of many concurrent appends at one revision through', async () => {
        const store = await openStore();
        const outcomes = await Promise.allSettled(
          newEvents(20).map((event) => store.append('a-1', [event], 'no_stream')),
        );
        expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
        expect(await read(store, 'a-1')).toHaveLength(1);
      });
    });

    describe('a repeated append', () => {
      it.each<ExpectedRevision>(['any', 'no_stream'])(
        'to a new stream, expecting %s, lands once',
        async (expected) => {
          const store = await openStore();
          const events = newEvents(2);
          const first = await store.append('a-1', events, expected);
          await store.append('b-1', [newEvent()], 'any');
          expect(await store.append('a-1', events, expected)).toEqual(first);
          expect(await read(store, 'a-1')).toHaveLength(2);
        },
      );

      it.each<ExpectedRevision>(['any', 'stream_exists', 0n])(
        'to a stream, expecting %s, lands once',
        async (expected) => {
          const store = await openStore();
          await store.append('a-1', [newEvent()], 'no_stream');
          const events = newEvents(2);
          const first = await store.append('a-1', events, expected);
          expect(await store.append('a-1', events, expected)).toEqual(first);
          expect(await read(store, 'a-1')).toHaveLength(3);
        },
      );

      it('returns its first result also when others have appended since', async () => {
        const store = await openStore();
        const events = newEvents(2);
        const first = await store.append('a-1', events, 'no_stream');
        await store.append('a-1', newEvents(4), 1n);
        expect(await store.append('a-1', events, 'no_stream')).toEqual(first);
      });

      it('lands once when both are under way at the same time', async () => {
        const store = await openStore();
        const events = newEvents(2);
        const [first, second] = await Promise.all([
          store.append('a-1', events, 'no_stream'),
          store.append('a-1', events, 'no_stream'),
        ]);
        expect(first).toEqual(second);
        expect(await read(store, 'a-1')).toHaveLength(2);
      });

      it('conflicts when only its begin is stored', async () => {
        const store = await openStore();
        const [one, two] = newEvents(2) as [NewEvent, NewEvent];
        await store.append('a-1', [one], 'no_stream');
        await expect(store.append('a-1', [one, two], 'no_stream')).rejects.toMatchObject({ actual: 0n });
        await store.append('a-1', [newEvent()], 0n);
        await expect(store.append('a-1', [one, two], 'no_stream')).rejects.toMatchObject({ actual: 1n });
      });

      it('conflicts when its events are stored in another order', async () => {
        const store = await openStore();
        const [one, two] = newEvents(2) as [NewEvent, NewEvent];
        await store.append('a-1', [one, two], 'no_stream');
        await expect(store.append('a-1', [two, one], 'no_stream')).rejects.toMatchObject({ actual: 1n });
      });

      it('is found by its ids at the expected revision, not elsewhere', async () => {
        const store = await openStore();
        const event = newEvent();
        await store.append('a-1', [event], 'no_stream');
        await expect(store.append('a-1', [event], 5n)).rejects.toThrow(WrongExpectedRevisionError);
        expect((await store.append('a-1', [event], 0n)).revision).toBe(1n);
      });
    });

    it('behaves as a plain list of streams for any sequence of appends', async () => {
      const anyAppend = fc.record({
        stream: fc.constantFrom('a-1', 'b-1'),
        expected: fc.constantFrom<ExpectedRevision>('any', 'no_stream', 'stream_exists', 0n, 1n, 2n),
        count: fc.integer({ min: 1, max: 3 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(anyAppend, { maxLength: 15 }), async (appends) => {
          const store = await openStore();
          const model = new Map<string, string[]>();
          for (const { stream, expected, count } of appends) {
            const held = model.get(stream) ?? [];
            const events = newEvents(count);
            const append = store.append(stream, events, expected);
            if (isAsExpected(expected, held.length)) {
              model.set(stream, [...held, ...events.map((event) => event.id)]);
              expect((await append).revision).toBe(BigInt(held.length + count - 1));
            } else {
              await expect(append).rejects.toMatchObject({ actual: actualRevision(held.length) });
            }
            expect(deniedRevisions(store, stream, model.get(stream)?.length ?? 0)).toEqual([]);
          }
          for (const [stream, ids] of model) {
            const stored = await read(store, stream);
            expect(stored.map((event) => event.id)).toEqual(ids);
            expect(stored.map((event) => event.revision)).toEqual(ids.map((_, index) => BigInt(index)));
          }
          await store.close();
        }),
        { numRuns: 25 },
      );
    });

    describe('readStream', () => {
      it('gives nothing for a stream that does not exist', async () => {
        expect(await read(await openStore(), 'a-1')).toEqual([]);
      });

      it('reads a long stream in both directions, from any revision, up to a limit', async () => {
        const store = await openStore();
        const count = 1200;
        for (let start = 0; start < count; start += 400) await store.append('a-1', newEvents(400), 'any');
        const revisions = async (options: Parameters<EventStore['readStream']>[1]) =>
          (await Array.fromAsync(store.readStream('a-1', options))).map((event) => Number(event.revision));
        const all = Array.from({ length: count }, (_, index) => index);
        expect(await revisions({})).toEqual(all);
        expect(await revisions({ direction: 'backwards' })).toEqual(all.toReversed());
        expect(await revisions({ from: 1000n })).toEqual(all.slice(1000));
        expect(await revisions({ from: 700n, direction: 'backwards', limit: 600 })).toEqual(
          all.slice(101, 701).toReversed(),
        );
        expect(await revisions({ limit: 3 })).toEqual([0, 1, 2]);
        expect(await revisions({ from: BigInt(count) })).toEqual([]);
        expect(await revisions({ limit: 0 })).toEqual([]);
      });
    });

    describe('readAll', () => {
      it('gives all streams in the order of their appends, in both directions', async () => {
        const store = await openStore();
        for (const label of ['1', '2', '3', '4']) await store.append(anyStream(), [newEvent(label)], 'any');
        expect(labels(await Array.fromAsync(store.readAll()))).toEqual(['1', '2', '3', '4']);
        const backwards = await Array.fromAsync(store.readAll({ direction: 'backwards', limit: 3 }));
        expect(labels(backwards)).toEqual(['4', '3', '2']);
      });

      it('starts after a position, exclusively, in both directions', async () => {
        const store = await openStore();
        await store.append(anyStream(), [newEvent('1'), newEvent('2'), newEvent('3')], 'any');
        const middle = (await Array.fromAsync(store.readAll()))[1]?.position ?? 0n;
        expect(labels(await Array.fromAsync(store.readAll({ after: middle })))).toEqual(['3']);
        expect(
          labels(await Array.fromAsync(store.readAll({ after: middle, direction: 'backwards' }))),
        ).toEqual(['1']);
      });

      it('starts at any position, also where no event is', async () => {
        const store = await openStore();
        for (const label of ['1', '2', '3', '4']) await store.append(anyStream(), [newEvent(label)], 'any');
        const stored = await Array.fromAsync(store.readAll());
        const read = async (options: ReadAllOptions) =>
          labels(await Array.fromAsync(store.readAll({ ...options, limit: 2 })));
        const filter = { typePrefixes: [stored[0]?.type ?? ''] };
        for (const options of [{}, { filter }]) {
          for (const [index, { position }] of stored.entries()) {
            const rest = labels(stored.slice(index, index + 2));
            expect(await read({ ...options, after: position - 1n })).toEqual(rest);
            const before = labels(stored.slice(Math.max(0, index - 1), index + 1)).toReversed();
            expect(await read({ ...options, after: position + 1n, direction: 'backwards' })).toEqual(before);
          }
        }
      });

      it('filters by prefixes of the stream name or of the event type', async () => {
        const store = await openStore();
        await store.append('user-1', [newEvent('1', 'UserAdded'), newEvent('2', 'SecretSet')], 'any');
        await store.append('org-1', [newEvent('3', 'OrgAdded')], 'any');
        await store.append('user_2', [newEvent('4', 'UserRemoved')], 'any');
        const filtered = async (filter: NonNullable<SubscribeOptions['filter']>) =>
          labels(await Array.fromAsync(store.readAll({ filter })));
        expect(await filtered({ streamPrefixes: ['user-'] })).toEqual(['1', '2']);
        expect(await filtered({ streamPrefixes: ['user-', 'org-'] })).toEqual(['1', '2', '3']);
        expect(await filtered({ typePrefixes: ['User'] })).toEqual(['1', '4']);
        expect(await filtered({ typePrefixes: ['user'] })).toEqual([]);
        expect(await filtered({ typePrefixes: [] })).toEqual([]);
      });
    });

    describe('subscribe', () => {
      it('catches up with what is stored and goes on with what is appended later', async () => {
        const store = await openStore();
        await store.append('a-1', [newEvent('1')], 'any');
        const taken = take(store, 3);
        await store.append('a-1', [newEvent('2')], 'any');
        await store.append('b-1', [newEvent('3')], 'any');
        expect(labels(await taken)).toEqual(['1', '2', '3']);
      });

      it('resumes after a position, exclusively', async () => {
        const store = await openStore();
        const { position } = await store.append('a-1', [newEvent('1')], 'any');
        await store.append('a-1', [newEvent('2')], 'any');
        expect(labels(await take(store, 1, { after: position }))).toEqual(['2']);
      });

      it('gives every event once and in order while many writers append', async () => {
        const store = await openStore();
        const writers = 16;
        const each = 40;
        const before = take(store, writers * each);
        const writing = Promise.all(
          Array.from({ length: writers }, async (_, writer) => {
            for (let index = 0; index < each; index++) {
              await store.append(`w-${writer}`, [newEvent(`${writer}/${index}`)], 'any');
            }
          }),
        );
        const during = take(store, writers * each);
        await writing;
        const log = labels(await Array.fromAsync(store.readAll()));
        expect(log).toHaveLength(writers * each);
        expect(labels(await before)).toEqual(log);
        expect(labels(await during)).toEqual(log);
        expect(labels(await take(store, writers * each))).toEqual(log);
      });

      it('says when it has caught up, also on an empty log, and how far it has read', async () => {
        const store = await openStore();
        for await (const batch of store.subscribe()) {
          expect(batch).toMatchObject({ events: [], caughtUp: true });
          break;
        }
        await store.append('a-1', newEvents(600), 'any');
        const { position } = await store.append('a-1', newEvents(600), 'any');
        let seen = 0;
        for await (const batch of store.subscribe()) {
          seen += batch.events.length;
          expect(batch.caughtUp).toBe(seen === 1200);
          expect(batch.position).toBe(batch.events.at(-1)?.position);
          if (batch.caughtUp) break;
        }
        expect(seen).toBe(1200);
        expect(position).toBeGreaterThanOrEqual(1200n);
      });

      it('moves its position past events that the filter leaves out', async () => {
        const store = await openStore();
        await store.append('a-1', [newEvent('wanted', 'Wanted')], 'any');
        const { position } = await store.append('a-1', [newEvent('other', 'Other')], 'any');
        for await (const batch of store.subscribe({ filter: { typePrefixes: ['Wanted'] } })) {
          expect(labels(batch.events)).toEqual(['wanted']);
          expect(batch.position).toBe(position);
          break;
        }
      });

      it('ends without an error when it is aborted, while it waits and before it begins', async () => {
        const store = await openStore();
        const abort = new AbortController();
        const ended = Array.fromAsync(store.subscribe({ signal: abort.signal }));
        await store.append('a-1', [newEvent()], 'any');
        abort.abort();
        await ended;
        expect(await Array.fromAsync(store.subscribe({ signal: AbortSignal.abort() }))).toEqual([]);
      });
    });

    describe('close', () => {
      it('ends subscriptions and lets appends under way finish', async () => {
        const store = await openStore();
        const subscription = Array.fromAsync(store.subscribe());
        const append = store.append('a-1', [newEvent()], 'any');
        await Promise.resolve();
        await store.close();
        expect((await append).revision).toBe(0n);
        await subscription;
      });

      it('makes every later call fail with a typed error, and can be repeated', async () => {
        const store = await openStore();
        await store.close();
        await store.close();
        await expect(store.append('a-1', [newEvent()], 'any')).rejects.toThrow(EventStoreClosedError);
        await expect(read(store, 'a-1')).rejects.toThrow(EventStoreClosedError);
        await expect(Array.fromAsync(store.readAll())).rejects.toThrow(EventStoreClosedError);
        await expect(Array.fromAsync(store.subscribe())).rejects.toThrow(EventStoreClosedError);
      });
    });
  });
}

/** An empty store, and what happens to its medium. */
export interface DamageableLog {
  readonly store: EventStore;
  /** What is stored of the event is no longer JSON, until the function that is returned is called. */
  damage(event: RecordedEvent): () => void;
}

/** Reads as far as it goes. */
async function readableOf(events: AsyncIterable<RecordedEvent>) {
  const positions: bigint[] = [];
  try {
    for await (const { position } of events) positions.push(position);
    return { positions, unreadable: undefined };
  } catch (error) {
    if (!(error instanceof UnreadableEventError)) throw error;
    return { positions, unreadable: error.position };
  }
}

/** What every adapter promises of a log where an event cannot be read. It is nobody else's, and so can be damaged. */
export function describeDamagedLogContract(name: string, openLog: () => Promise<DamageableLog>): void {
  describe(`the contract of damaged logs: ${name}`, () => {
    /** Longer than a page. */
    const openLongLog = async () => {
      const log = await openLog();
      for (const [stream, count] of [['a-1', 400] as const, ['b-1', 10] as const, ['a-1', 200] as const]) {
        await log.store.append(stream, newEvents(count), 'any');
      }
      return { ...log, events: await Array.fromAsync(log.store.readAll()) };
    };
    const inOrder = (events: readonly RecordedEvent[], direction: Direction) =>
      direction === 'forwards' ? events : events.toReversed();
    const [few, many] = [fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 599 })];
    const anyRead = fc.record({
      direction: fc.constantFrom<Direction>('forwards', 'backwards'),
      /** Where the first event that is asked for stands, in that direction. */
      begin: fc.oneof(fc.constant(0), many),
      limit: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), few, many),
      /** How many events after that one the damage is. */
      distance: fc.oneof(fc.constant(0), few, many),
    });

    /** What can be read of the events that are asked for. */
    const readable = (asked: readonly RecordedEvent[], damaged: RecordedEvent) => {
      const positions = asked.map(({ position }) => position);
      const index = positions.indexOf(damaged.position);
      return index < 0
        ? { positions, unreadable: undefined }
        : { positions: positions.slice(0, index), unreadable: damaged.position };
    };

    it('readAll gives all that stands before the event, and fails when that was not enough', async () => {
      const { store, damage, events } = await openLongLog();
      const anyReadAll = fc.record({
        read: anyRead,
        prefix: fc.constantFrom('', 'b-'),
        startsAtEvent: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(anyReadAll, async ({ read, prefix, startsAtEvent }) => {
          const { direction, begin, limit, distance } = read;
          const ordered = inOrder(events, direction);
          const first = ordered[begin] as RecordedEvent;
          const isAsked = ({ stream }: RecordedEvent) => stream.startsWith(prefix);
          const asked = ordered.slice(begin).filter(isAsked).slice(0, limit);
          const damaged = asked[distance] ?? ordered[begin + distance] ?? first;
          const beside = first.position + (direction === 'forwards' ? -1n : 1n);
          const after = startsAtEvent ? ordered[begin - 1]?.position : beside;
          const mend = damage(damaged);
          const found = await readableOf(
            store.readAll({
              ...{ direction, limit },
              ...(after !== undefined && { after }),
              ...(prefix !== '' && { filter: { streamPrefixes: [prefix] } }),
            }),
          );
          mend();
          expect(found).toEqual(readable(asked, damaged));
        }),
        { numRuns: 40 },
      );
    });

    it('readStream gives all that stands before the event, and fails when that was not enough', async () => {
      const { store, damage, events } = await openLongLog();
      const ofStream = events.filter(({ stream }) => stream === 'a-1');
      await fc.assert(
        fc.asyncProperty(anyRead, async ({ direction, begin, limit, distance }) => {
          const ordered = inOrder(ofStream, direction);
          const first = ordered[begin] as RecordedEvent;
          const damaged = ordered[begin + distance] ?? first;
          const from = begin === 0 ? {} : { from: first.revision };
          const mend = damage(damaged);
          const found = await readableOf(store.readStream('a-1', { ...from, direction, limit }));
          mend();
          expect(found).toEqual(readable(ordered.slice(begin, begin + limit), damaged));
        }),
        { numRuns: 40 },
      );
    });

    it('whoever begins past the event does not meet it', async () => {
      const { store, damage } = await openLog();
      await store.append('a-1', newEvents(3), 'no_stream');
      const events = await Array.fromAsync(store.readAll());
      const [first, damaged, last] = events as [RecordedEvent, RecordedEvent, RecordedEvent];
      damage(damaged);
      for (const after of [damaged.position, last.position - 1n]) {
        expect(await Array.fromAsync(store.readAll({ after }))).toEqual([last]);
      }
      for (const after of [damaged.position, first.position + 1n]) {
        expect(await Array.fromAsync(store.readAll({ after, direction: 'backwards' }))).toEqual([first]);
      }
      expect(await take(store, 1, { after: damaged.position })).toEqual([last]);
    });

    it('its head is the last event, whichever cannot be read', async () => {
      const { store, damage } = await openLog();
      const { position } = await store.append('a-1', newEvents(3), 'no_stream');
      for (const event of await Array.fromAsync(store.readAll())) {
        const mend = damage(event);
        expect(await headOf(store)).toBe(position);
        mend();
      }
    });
  });
}

/** Closes the store when the running test ends. */
export function closedAfterTest<Store extends EventStore>(store: Store): Store {
  onTestFinished(() => store.close());
  return store;
}
