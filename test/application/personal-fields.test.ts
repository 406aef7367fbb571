import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { WrongMasterKeyError } from '../../src/application/master-keys.ts';
import { openedLog, PersonalFields } from '../../src/application/personal-fields.ts';
import { machineUsersAsOf } from '../../src/audit/as-of.ts';
import { userHistory } from '../../src/audit/user-history.ts';
import { isIntact, verifyLog } from '../../src/audit/verify-log.ts';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';
import type { EventSchemas } from '../../src/domain/event-schema.ts';
import {
  EventStoreUnavailableError,
  EventStoreUnusableError,
  WrongWrappingKeyError,
} from '../../src/eventstore/errors.ts';
import type { EventStore, JsonObject } from '../../src/eventstore/event-store.ts';
import { preparePersonalFields } from '../../src/personal-data.ts';
import { describePersonalKeysContract } from '../contract/personal-keys.contract.ts';
import { context, emptyStore, node, organizationId, TestClock } from '../support/application.ts';
import { memoryPersonalKeys } from '../support/memory-personal-keys.ts';

describePersonalKeysContract('that of tests, in memory', async () => memoryPersonalKeys());

const erasedAt = '2026-03-04T05:06:07.890Z';
const erasedText = `(erased ${erasedAt})`;
const personal = { userName: 'ada', name: 'Ada Löve', description: '' };
const added = {
  id: randomUUID(),
  stream: 'machineUser-338',
  type: 'MachineUserAdded',
  data: { organizationId, accessTokenType: 'jwt', ...personal },
};

async function sealed(fields = new PersonalFields(memoryPersonalKeys()), event = added) {
  return { fields, event: { ...event, data: await fields.seal(event) } };
}

describe('personal fields', () => {
  it('are sealed, and what is not personal is not', async () => {
    const { event } = await sealed();
    const { organizationId: owner, accessTokenType, ...rest } = event.data;
    expect({ owner, accessTokenType }).toEqual({ owner: organizationId, accessTokenType: 'jwt' });
    expect(Object.keys(rest)).toEqual(Object.keys(personal));
    for (const field of Object.values(rest)) expect(field).toEqual({ sealed: expect.any(String) });
  });

  it('are opened as they were, whatever text they hold', async () => {
    const text = fc.string({ unit: 'grapheme' });
    const run = fc.asyncProperty(text, text, text, async (userName, name, description) => {
      const event = { ...added, data: { ...added.data, userName, name, description } };
      const { fields, event: stored } = await sealed(undefined, event);
      expect(await fields.open(stored)).toEqual(event);
    });
    await fc.assert(run);
  });

  it('do not tell how long a short text is', async () => {
    const { event } = await sealed();
    const lengths = Object.keys(personal).map((field) => JSON.stringify(event.data[field]).length);
    expect(new Set(lengths).size).toBe(1);
  });

  it('cannot be moved to another user, event, type or field', async () => {
    const keys = memoryPersonalKeys();
    const { fields, event } = await sealed(new PersonalFields(keys));
    const { name, description } = event.data as JsonObject;
    await fields.seal({ ...added, stream: 'machineUser-339' });
    for (const moved of [
      { ...event, stream: 'machineUser-339' },
      { ...event, id: randomUUID() },
      { ...event, type: 'MachineUserChanged' },
      { ...event, data: { ...event.data, name: description, description: name } },
    ] as (typeof event)[]) {
      await expect(fields.open(moved)).rejects.toThrow(EventStoreUnusableError);
    }
  });

  it('say since when they are erased, at once and in another process', async () => {
    const keys = memoryPersonalKeys();
    const { fields, event } = await sealed(new PersonalFields(keys));
    await fields.erase('338', erasedAt);
    const erased = { ...added, data: { ...added.data, userName: erasedText, name: erasedText } };
    expect(await fields.open(event)).toEqual({
      ...erased,
      data: { ...erased.data, description: erasedText },
    });
    expect(await new PersonalFields(keys).open(event)).toEqual(await fields.open(event));
  });

  it('stay erased for who saw the erasure, when a crash has left the key, however many other users come', async () => {
    const keys = memoryPersonalKeys();
    const { fields, event } = await sealed(new PersonalFields(keys));
    const place = { stream: added.stream, revision: 1n, position: 2n, recordedAt: new Date(erasedAt) };
    const metadata = { occurredAt: erasedAt };
    await fields.openAll([{ ...place, id: randomUUID(), type: 'MachineUserErased', data: {}, metadata }]);
    for (let other = 0; other < 10_001; other++) {
      await keys.create(`other-${other}`);
      await fields.stateOf(`other-${other}`);
    }
    expect(await fields.hasKey('338')).toBe(true);
    expect((await fields.open(event)).data).toMatchObject({ name: erasedText });
    expect(await fields.stateOf('338')).toBe('erased');
  });

  it('are refused, and not shown as erased, when their key is lost', async () => {
    const { event } = await sealed();
    for (const fields of [new PersonalFields(memoryPersonalKeys()), new PersonalFields()]) {
      await expect(fields.open(event)).rejects.toThrow(/its key is not there: put the personal keys back/);
    }
  });

  it('stay as they are without keys, and those of earlier versions are read', async () => {
    expect(await new PersonalFields().seal(added)).toEqual(added.data);
    expect(await new PersonalFields(memoryPersonalKeys()).open(added)).toEqual(added);
  });

  it('are told to be under another master key when their keys are, and not when something else is wrong', async () => {
    for (const [error, told] of [
      [new WrongWrappingKeyError('the master key is not the one'), WrongMasterKeyError],
      [new EventStoreUnusableError('the event store refuses the credentials'), EventStoreUnusableError],
    ] as const) {
      const keys = { ...memoryPersonalKeys(), keyOf: () => Promise.reject(error) };
      const prepared = preparePersonalFields(new PersonalFields(keys), emptyStore(), 'the event store');
      await expect(prepared).rejects.toThrow(told);
    }
  });

  it('are texts of the events’ schemas', () => {
    for (const { personal: names = [], data } of Object.values(eventCatalogue as EventSchemas)) {
      const shape = 'shape' in data ? Object.keys(data.shape as object) : [];
      expect(shape).toEqual(expect.arrayContaining([...names]));
    }
  });
});

const userIds = ['one', 'two'];
const steps = fc.array(
  fc.record({
    userId: fc.constantFrom(...userIds),
    step: fc.constantFrom('rename', 'describe', 'retype', 'deactivate', 'reactivate'),
    text: fc.string({ minLength: 1, maxLength: 20 }),
  }),
  { maxLength: 12 },
);
type Life = typeof steps extends fc.Arbitrary<infer Steps> ? Steps : never;

describe('a log whose personal fields are sealed', () => {
  it('reads as one without, and after an erasure lacks the personal fields of that user alone', async () => {
    const run = fc.asyncProperty(steps, async (life) => {
      const plain = await logOf(life);
      const personalFields = new PersonalFields(memoryPersonalKeys());
      const stored = await logOf(life, personalFields);
      const opened = openedLog(stored, personalFields);
      const before = await readings(opened);
      expect(before).toEqual(await readings(plain));

      const asStored = await Array.fromAsync(stored.readAll());
      await personalFields.erase('one', erasedAt);
      const after = await readings(opened);
      expect(after.map(withoutPersonalFieldsOf('one'))).toEqual(before.map(withoutPersonalFieldsOf('one')));
      expect(
        inspect(
          after.filter(({ userId }) => userId === 'one'),
          { depth: 9 },
        ),
      ).toContain(erasedText);
      expect(await Array.fromAsync(stored.readAll())).toEqual(asStored);
      expect(isIntact(await verifyLog({ eventStore: stored }))).toBe(true);
    });
    await fc.assert(run, { numRuns: 30, interruptAfterTimeLimit: 8_000 });
  });

  it('is followed on when its keys could not be reached for a while', async () => {
    const keys = memoryPersonalKeys();
    const stored = await logOf([], new PersonalFields(keys));
    const unreachable = () => new EventStoreUnavailableError('Connection dropped');
    const keyOf = vi.spyOn(keys, 'keyOf');
    keyOf.mockRejectedValueOnce(unreachable()).mockRejectedValueOnce(unreachable());
    const stop = new AbortController();
    const opened = openedLog(stored, new PersonalFields(keys));
    const names: unknown[] = [];
    for await (const { events, caughtUp } of opened.subscribe({ after: 0n, signal: stop.signal })) {
      names.push(...events.filter(({ type }) => type === 'MachineUserAdded').map(({ data }) => data['name']));
      if (caughtUp) stop.abort();
    }
    expect(names).toEqual(['Name of one', 'Name of two']);
    expect(keyOf.mock.settledResults.filter(({ type }) => type === 'rejected')).toHaveLength(2);
  });

  it('is followed to the abort when its keys cannot be reached any more', async () => {
    const keys = memoryPersonalKeys();
    const stored = await logOf([], new PersonalFields(keys));
    const stop = new AbortController();
    vi.spyOn(keys, 'keyOf').mockImplementation(async () => {
      stop.abort();
      throw new EventStoreUnavailableError('Connection dropped');
    });
    const followed = openedLog(stored, new PersonalFields(keys)).subscribe({
      after: 0n,
      signal: stop.signal,
    });
    const told = (await Array.fromAsync(followed)).flatMap(({ events }) => events);
    expect(told).toEqual([]);
  });
});

/** The same commands at the same times: `one` is removed in the end. */
async function logOf(life: Life, personalFields = new PersonalFields()): Promise<EventStore> {
  const eventStore = emptyStore();
  const { machineUsers, clock } = node(eventStore, new TestClock(), undefined, personalFields);
  for (const userId of userIds) {
    const profile = { name: `Name of ${userId}`, description: '', accessTokenType: 'jwt' } as const;
    await machineUsers.add({ organizationId, userId, userName: userId, ...profile }, context);
  }
  for (const { userId, step, text } of life) {
    clock.advance(1000);
    const user = { userId, organizationId };
    const { name, description } = await machineUsers.requireUser(user);
    const change = {
      rename: () => machineUsers.changeUserName(user, `${userId} ${text}`, context),
      describe: () => machineUsers.change(user, { name, description: text, accessTokenType: 'jwt' }, context),
      retype: () => machineUsers.change(user, { name, description, accessTokenType: 'bearer' }, context),
      deactivate: () => machineUsers.deactivate(user, context),
      reactivate: () => machineUsers.reactivate(user, context),
    }[step as 'rename'];
    // What changes nothing is refused, in both logs.
    await change().catch(() => {});
  }
  await machineUsers.remove({ userId: 'one', organizationId }, context);
  return eventStore;
}

interface Reading {
  readonly userId: string;
  readonly shown: object;
}

/** What auditors are shown: the histories, and all users at each position. */
async function readings(log: EventStore): Promise<Reading[]> {
  const shown: Reading[] = [];
  for (const userId of userIds) {
    for await (const entry of userHistory(log, userId)) shown.push({ userId, shown: entry });
  }
  for await (const { position } of log.readAll()) {
    for await (const standing of machineUsersAsOf(log, position)) {
      shown.push({ userId: standing.userId, shown: standing });
    }
  }
  return shown;
}

function withoutPersonalFieldsOf(erasedId: string) {
  const isPersonal = (name: string) => Object.hasOwn(personal, name);
  return ({ userId, shown }: Reading): Reading => {
    if (userId !== erasedId) return { userId, shown };
    const members = Object.entries(shown).filter(([name]) => !isPersonal(name));
    const rest = members.map(([name, value]) =>
      name === 'changes'
        ? [name, value.filter((change: { field: string }) => !isPersonal(change.field))]
        : [name, value],
    );
    return { userId, shown: Object.fromEntries(rest) };
  };
}
