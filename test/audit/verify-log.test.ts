import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { writeEventLog } from '../../bench/event-log.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { hashOfEvent } from '../../src/eventstore/hash-chain.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { auditedLog } from '../support/audited-log.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

type Log = Awaited<ReturnType<typeof auditedLog>>;

const stream = 'machineUser-one';
const lastRevision = 5;
const where = (revision: number) => `WHERE stream = '${stream}' AND revision = ${revision}`;
const edit = (revision: number) =>
  `UPDATE events SET data = json_set(data, '$.forged', 1) ${where(revision)}`;
const exchangeRevisions = (a: number, b: number) => `
  UPDATE events SET revision = -1 ${where(a)};
  UPDATE events SET revision = ${a} ${where(b)};
  UPDATE events SET revision = ${b} ${where(-1)}`;
const exchangePositions = (a: bigint, b: bigint) => `
  UPDATE events SET position = -1 WHERE position = ${a};
  UPDATE events SET position = ${a} WHERE position = ${b};
  UPDATE events SET position = ${b} WHERE position = -1`;
/** Moves the events from `revision` on by one place, as one who wants to hide a removal or make room would. */
const shift = (revision: number, by: 1 | -1) => `
  UPDATE events SET revision = -revision - 1000 WHERE stream = '${stream}' AND revision >= ${revision};
  UPDATE events SET revision = -(revision + 1000) + ${by} WHERE stream = '${stream}' AND revision < 0`;

async function forge(log: Log, revision: number, previousHash: string | null): Promise<void> {
  const [model] = await Array.fromAsync(log.eventStore.readStream(stream, { from: 1n, limit: 1 }));
  log.tamper(
    'INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, 0)',
    stream,
    revision,
    randomUUID(),
    model?.type ?? '',
    JSON.stringify(model?.data),
    JSON.stringify({ ...model?.metadata, previousHash }),
  );
}

async function hashAt(log: Log, revision: number): Promise<string> {
  const [event] = await Array.fromAsync(
    log.eventStore.readStream(stream, { from: BigInt(revision), limit: 1 }),
  );
  if (event === undefined) throw new Error(`there is no revision ${revision}`);
  return hashOfEvent(event);
}

test('an untouched log fits', async () => {
  const log = await auditedLog();
  expect(await verifyLog(log)).toMatchObject({ events: 14, fault: undefined });
  await log.growTree();
  expect(await verifyLog(log)).toMatchObject({ events: 14, fault: undefined });
});

test('an empty log fits', async () => {
  const eventStore = closedAfterTest(openSqliteEventStore({ file: join(temporaryFolder(), 'events.db') }));
  expect(await verifyLog({ eventStore })).toMatchObject({ events: 0, fault: undefined });
});

describe('by the hash chains alone, the log is told', () => {
  it.each([0, 1, 2, 3, 4])('the event that was edited: revision %i', async (revision) => {
    const log = await auditedLog();
    log.tamper(edit(revision));
    const position = log.positionOf(stream, revision);
    expect((await verifyLog(log)).fault).toMatchObject({
      kind: 'changed',
      stream,
      revision: BigInt(revision),
      position,
    });
  });

  it.each(['type', 'id', 'metadata.occurredAt', 'metadata.editor'])('an edited %s', async (what) => {
    const log = await auditedLog();
    const [column, field] = what.split('.');
    const value = field === undefined ? `'forged'` : `json_set(metadata, '$.${field}', 'forged')`;
    log.tamper(`UPDATE events SET ${column} = ${value} ${where(2)}`);
    expect((await verifyLog(log)).fault).toMatchObject({ kind: 'changed', stream, revision: 2n });
  });

  it.each([1, 2, 3, 4])('the event that was removed: revision %i', async (revision) => {
    const log = await auditedLog();
    log.tamper(`DELETE FROM events ${where(revision)}`);
    expect((await verifyLog(log)).fault).toMatchObject({
      kind: 'missing',
      stream,
      revision: BigInt(revision),
    });
  });

  it('the first event of a stream that was removed', async () => {
    const log = await auditedLog();
    log.tamper(`DELETE FROM events ${where(0)}`);
    expect((await verifyLog(log)).fault).toMatchObject({ kind: 'missing', stream, revision: 0n });
  });

  it.each([0, 1, 2, 3])(
    'a removal at revision %i that was covered up by moving the rest up',
    async (revision) => {
      const log = await auditedLog();
      log.tamper(`DELETE FROM events ${where(revision)}; ${shift(revision, -1)}`);
      expect((await verifyLog(log)).fault).toMatchObject({
        kind: 'missing',
        stream,
        revision: BigInt(revision),
      });
    },
  );

  it.each([
    [0, 1],
    [1, 2],
    [3, 4],
  ])('two events that have changed places in their stream: revisions %i and %i', async (a, b) => {
    const log = await auditedLog();
    log.tamper(exchangeRevisions(a, b));
    const { fault } = await verifyLog(log);
    expect(fault).toMatchObject({ kind: 'reordered', stream });
    expect([BigInt(a), BigInt(b)]).toContain(fault?.revision);
  });

  it('two events that have changed places in the log', async () => {
    const log = await auditedLog();
    log.tamper(exchangePositions(log.positionOf(stream, 2), log.positionOf(stream, 4)));
    const { fault } = await verifyLog(log);
    expect(fault).toMatchObject({ kind: 'reordered', stream, revision: 4n });
  });

  it.each(['with a hash that fits', 'with one that does not'])(
    'an event that was inserted and the rest moved down, %s',
    async (how) => {
      const log = await auditedLog();
      const previousHash = how === 'with a hash that fits' ? await hashAt(log, 2) : 'forged';
      log.tamper(shift(3, 1));
      await forge(log, 3, previousHash);
      log.tamper(exchangePositions(log.positionOf(stream, 3), log.positionOf(stream, 4)));
      log.tamper(exchangePositions(log.positionOf(stream, 4), log.positionOf(stream, 5)));
      log.tamper(exchangePositions(log.positionOf(stream, 5), log.positionOf(stream, 6)));
      expect((await verifyLog(log)).fault).toMatchObject({ kind: 'inserted', stream, revision: 3n });
    },
  );

  it('an event that was inserted at the end with a wrong hash', async () => {
    const log = await auditedLog();
    await forge(log, lastRevision + 1, 'forged');
    expect((await verifyLog(log)).fault).toMatchObject({
      stream,
      reason: expect.stringContaining('revision 6'),
    });
  });

  it.each(['data', 'metadata'])('an event whose %s is no longer JSON', async (column) => {
    const log = await auditedLog();
    log.tamper(`UPDATE events SET ${column} = '{' ${where(3)}`);
    const position = log.positionOf(stream, 3);
    expect((await verifyLog(log)).fault).toMatchObject({
      kind: 'unreadable',
      stream,
      revision: 3n,
      position,
    });
  });

  it('an event that cannot be hashed', async () => {
    const log = await auditedLog();
    log.tamper(`UPDATE events SET data = '{"a":"\\ud800"}' ${where(3)}`);
    expect((await verifyLog(log)).fault).toMatchObject({ kind: 'unreadable', stream, revision: 3n });
  });
});

describe('by the log tree, the log is told exactly', () => {
  it('the event, for any one that was edited, also the last of its stream', async () => {
    for (const revision of [0, 3, lastRevision]) {
      const log = await auditedLog();
      await log.growTree();
      log.tamper(edit(revision));
      const position = log.positionOf(stream, revision);
      expect((await verifyLog(log)).fault).toMatchObject({
        kind: 'changed',
        stream,
        revision: BigInt(revision),
        position,
      });
    }
  });

  it.each([0, 3, lastRevision])(
    'the position of an event that was removed: revision %i',
    async (revision) => {
      const log = await auditedLog();
      await log.growTree();
      const position = log.positionOf(stream, revision);
      log.tamper(`DELETE FROM events ${where(revision)}`);
      expect((await verifyLog(log)).fault).toMatchObject({ kind: 'missing', position });
    },
  );

  it('where the log was cut off', async () => {
    const log = await auditedLog();
    await log.growTree();
    const position = log.positionOf(stream, 4);
    log.tamper(`DELETE FROM events WHERE position >= ${position}`);
    expect((await verifyLog(log)).fault).toMatchObject({ kind: 'missing', position });
  });

  it('an event with a perfect chain that was inserted into a gap', async () => {
    const log = await auditedLog();
    const position = log.positionOf(stream, lastRevision);
    log.tamper(`DELETE FROM events ${where(lastRevision)}`);
    await log.growTree();
    await forge(log, lastRevision, await hashAt(log, lastRevision - 1));
    log.tamper(`UPDATE events SET position = ${position} ${where(lastRevision)}`);
    expect((await verifyLog(log)).fault).toMatchObject({ kind: 'inserted', stream, revision: 5n, position });
  });

  it('nothing wrong with events that came after the tree', async () => {
    const log = await auditedLog();
    await log.growTree();
    await forge(log, lastRevision + 1, await hashAt(log, lastRevision));
    expect(await verifyLog(log)).toMatchObject({ events: 15, fault: undefined });
  });
});

describe('of a long log, several threads tell as one does', () => {
  const [events, users] = [20_500, 500];
  const middle = events / 2;

  /** Events of the users in turn, so that each event but the last of its user is followed by that user's next, `users` later. */
  async function longLog() {
    const file = join(temporaryFolder(), 'events.db');
    await writeEventLog(file, { events, users });
    const eventStore = closedAfterTest(openSqliteEventStore({ file, readOnly: true }));
    const db = new DatabaseSync(file);
    onTestFinished(() => db.close());
    const dataOf = (position: number) =>
      String(db.prepare('SELECT data FROM events WHERE position = ?').get(position)?.['data']);
    const setData = db.prepare('UPDATE events SET data = ? WHERE position = ?');
    return {
      verify: (threads: number) => verifyLog({ eventStore, file }, { threads }),
      /** Puts other texts in the place of the data at positions, for a while. */
      async whileDamaged(texts: Readonly<Record<number, string>>, check: () => Promise<void>) {
        const originals = Object.keys(texts).map((position) => [dataOf(Number(position)), position] as const);
        for (const [position, text] of Object.entries(texts)) setData.run(text, position);
        try {
          await check();
        } finally {
          for (const original of originals) setData.run(...original);
        }
      },
    };
  }

  it('that nothing is wrong', async () => {
    const log = await longLog();
    expect(await log.verify(2)).toMatchObject({ events, fault: undefined });
  });

  it('any one edit of any one event', async () => {
    const log = await longLog();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: events - users }), (position) =>
        log.whileDamaged({ [position]: '{}' }, async () => {
          for (const threads of [1, 2]) {
            const { fault } = await log.verify(threads);
            expect(fault).toMatchObject({ kind: 'changed', position: BigInt(position) });
          }
        }),
      ),
      { numRuns: 3 },
    );
  });

  it('an event that cannot be read in its turn: after an edit that shows before it, and before one that shows later', async () => {
    const log = await longLog();
    const edited = fc.integer({ min: 1, max: events - users });
    const unreadable = fc.integer({ min: 1, max: events });
    await fc.assert(
      fc.asyncProperty(edited, unreadable, async (edited, unreadable) => {
        fc.pre(edited !== unreadable);
        // An edit shows where the next event of the stream carries another hash.
        const isFirst = unreadable <= edited + users;
        const expected = isFirst
          ? { kind: 'unreadable', position: BigInt(unreadable) }
          : { kind: 'changed', position: BigInt(edited) };
        await log.whileDamaged({ [edited]: '{}', [unreadable]: '{"cut' }, async () => {
          for (const threads of [1, 2]) {
            const { fault } = await log.verify(threads);
            expect(fault, `by ${threads} threads`).toMatchObject(expected);
          }
        });
      }),
      {
        numRuns: 9,
        endOnFailure: true,
        examples: [
          [middle - 2 * users, middle + 2 * users],
          [middle + 2 * users, middle - 2 * users],
          [middle - users + 10, middle + 20],
          [middle, middle + users],
          [middle, middle + users + 1],
          [middle, middle + 2 * users],
          [middle, events],
        ],
      },
    );
  });
});
