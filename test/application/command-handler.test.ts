import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { ChangeDetails, MachineUsers } from '../../src/application/machine-users.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { machineUser } from '../../src/domain/aggregates.ts';
import type { KeyturnError } from '../../src/domain/errors.ts';
import { secretIdOf } from '../../src/domain/machine-secret.ts';
import { exists } from '../../src/domain/machine-user/state.ts';
import { WrongExpectedRevisionError } from '../../src/eventstore/errors.ts';
import { hashOfEvent } from '../../src/eventstore/hash-chain.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { idsOf, withAppend } from '../support/faulty-event-store.ts';

test('the stream version counts the events of the user', async () => {
  const { machineUsers } = node(emptyStore());
  const { userId, details } = await machineUsers.add(robot, context);
  expect(details.sequence).toBe(1n);
  for (const sequence of [2n, 3n]) {
    const set = await machineUsers.setSecret({ userId, organizationId }, context);
    expect(set.details.sequence).toBe(sequence);
  }
  expect((await machineUsers.removeSecret({ userId, organizationId }, context)).sequence).toBe(4n);
});

test('an event says when, who, why, and what stands before it in its stream', async () => {
  const store = emptyStore();
  const { machineUsers, clock } = node(store);
  const editor = { userId: 'u', organizationId: 'o' };
  const { userId } = await machineUsers.add(robot, {
    editor,
    correlationId: 'request',
    causationId: 'cause',
  });
  clock.advance(1000);
  await machineUsers.setSecret({ userId, organizationId }, context);
  const [added, secretSet] = await Array.fromAsync(store.readStream(`machineUser-${userId}`));
  expect(added?.metadata).toEqual({
    schemaVersion: 2,
    occurredAt: '2026-01-02T03:04:05.678Z',
    editor,
    $correlationId: 'request',
    $causationId: 'cause',
    previousHash: null,
  });
  expect(secretSet?.metadata).toMatchObject({
    occurredAt: '2026-01-02T03:04:06.678Z',
    editor: null,
    previousHash: added && hashOfEvent(added),
  });
});

test('the hash chain holds through events of one command and of many', async () => {
  const store = emptyStore();
  const { machineUsers } = node(store);
  const { userId } = await machineUsers.add(robot, context);
  for (let time = 0; time < 5; time++) await machineUsers.setSecret({ userId, organizationId }, context);
  let previousHash: string | null = null;
  for await (const event of store.readStream(`machineUser-${userId}`)) {
    expect(event.metadata['previousHash']).toBe(previousHash);
    previousHash = hashOfEvent(event);
  }
});

test('after a conflict the command is decided again, with the same secret, hash and event ids', async () => {
  const store = emptyStore();
  const { machineUsers: other } = node(store);
  const { userId } = await other.add(robot, context);
  await other.setSecret({ userId, organizationId }, context);

  const attempts: { ids: string[]; revision: unknown; data: unknown[] }[] = [];
  const contended = withAppend(store, async (append, stream, events, revision) => {
    attempts.push({ ids: idsOf(events), revision, data: events.map((event) => event.data) });
    if (attempts.length <= 2) await other.setSecret({ userId, organizationId }, context);
    return append(stream, events, revision);
  });
  const hasher = bcryptHasher(4);
  const hash = vi.spyOn(hasher, 'hash');
  const { machineUsers, commands } = node(contended, undefined, hasher);
  const { clientSecret, details } = await machineUsers.setSecret({ userId, organizationId }, context);

  expect(attempts.map((attempt) => attempt.revision)).toEqual([1n, 2n, 3n]);
  expect(new Set(attempts.map((attempt) => attempt.ids.join())).size).toBe(1);
  expect(hash).toHaveBeenCalledTimes(1);
  expect(details.sequence).toBe(5n);
  const { state } = await commands.load(machineUser, userId);
  expect(exists(state) && state.secrets).toMatchObject([
    { secretId: secretIdOf(clientSecret), hashedSecret: await hash.mock.results[0]?.value },
  ]);
});

test('a command that loses every time ends as contended', async () => {
  const store = emptyStore();
  const { userId } = await node(store).machineUsers.add(robot, context);
  const losing = withAppend(store, async (_append, stream, _events, revision) => {
    throw new WrongExpectedRevisionError(stream, revision, 99n);
  });
  const set = node(losing).machineUsers.setSecret({ userId, organizationId }, context);
  await expect(set).rejects.toMatchObject({ code: 'CONTENDED', httpStatus: 503 });
});

test('a fault of the store is not repeated and reaches the caller', async () => {
  const store = emptyStore();
  const { userId } = await node(store).machineUsers.add(robot, context);
  const append = vi.fn(async () => {
    throw new Error('disk full');
  });
  const set = node(withAppend(store, append)).machineUsers.setSecret({ userId, organizationId }, context);
  await expect(set).rejects.toThrow('disk full');
  expect(append).toHaveBeenCalledTimes(1);
});

test('many commands on one user, from two processes, all succeed one after the other', async () => {
  const store = emptyStore();
  const nodes = [node(store), node(store)] as const;
  const { userId } = await nodes[0].machineUsers.add(robot, context);
  const sets = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      nodes[index % 2]?.machineUsers.setSecret({ userId, organizationId }, context),
    ),
  );
  const sequences = sets.map((set) => Number(set?.details.sequence)).sort((a, b) => a - b);
  expect(sequences).toEqual(Array.from({ length: 40 }, (_, index) => index + 2));
});

describe('a node that remembers how it left a user', () => {
  const user = { userId: 'one', organizationId };
  const twoNodes = async () => {
    const store = emptyStore();
    const [a, b] = [node(store), node(store)];
    await a.machineUsers.add({ ...robot, userId: 'one' }, context);
    return { store, a: a.machineUsers, b: b.machineUsers };
  };

  test('reads nothing of it for its next command', async () => {
    const { store, a } = await twoNodes();
    await a.deactivate(user, context);
    const read = vi.spyOn(store, 'readStream');
    expect((await a.reactivate(user, context)).sequence).toBe(3n);
    expect(read).not.toHaveBeenCalled();
  });

  test('refuses nothing by what another node has changed since', async () => {
    const { a, b } = await twoNodes();
    await a.deactivate(user, context);
    await b.reactivate(user, context);
    expect((await a.deactivate(user, context)).sequence).toBe(4n);
    await b.reactivate(user, context);
    await expect(a.reactivate(user, context)).rejects.toMatchObject({ code: 'USER_NOT_INACTIVE' });
  });

  test('takes nothing for unchanged that another node has changed since', async () => {
    const { a, b } = await twoNodes();
    await b.update(user, { name: 'Other' }, context);
    expect((await a.update(user, { name: robot.name }, context)).sequence).toBe(3n);
  });

  test('allows nothing that another node has ruled out since', async () => {
    const { a, b } = await twoNodes();
    await a.setSecret(user, context);
    await b.remove(user, context);
    await expect(a.setSecret(user, context)).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
  });

  test('holds a caller to the sequence that the user is at, not to the one it remembers', async () => {
    const { a, b } = await twoNodes();
    await b.deactivate(user, context);
    const stale = a.setSecret(user, context, { expectedSequence: 1n });
    await expect(stale).rejects.toMatchObject({ code: 'SEQUENCE_MISMATCH' });
    await b.reactivate(user, context);
    const { details } = await a.setSecret(user, context, { expectedSequence: 3n });
    expect(details.sequence).toBe(4n);
  });

  test('answers any commands, on whichever of two nodes, as one that remembers nothing', async () => {
    const commands = {
      deactivate: (users: MachineUsers) => users.deactivate(user, context),
      reactivate: (users: MachineUsers) => users.reactivate(user, context),
      lock: (users: MachineUsers) => users.lock(user, context),
      unlock: (users: MachineUsers) => users.unlock(user, context),
      rename: (users: MachineUsers) => users.update(user, { name: 'Other' }, context),
      renameBack: (users: MachineUsers) => users.update(user, { name: robot.name }, context),
      removeSecret: (users: MachineUsers) => users.removeSecret(user, context),
    };
    const steps = fc.array(
      fc.record({ nodeIndex: fc.nat(1), name: fc.constantFrom(...Object.keys(commands)) }),
      { maxLength: 20 },
    );
    const outcomeOf = (change: Promise<ChangeDetails>) =>
      change.then(
        ({ sequence }) => sequence,
        (error: KeyturnError) => error.code,
      );
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const { a, b } = await twoNodes();
        const forgetful = emptyStore();
        await node(forgetful).machineUsers.add({ ...robot, userId: 'one' }, context);
        for (const { nodeIndex, name } of taken) {
          const command = commands[name as keyof typeof commands];
          const expected = await outcomeOf(command(node(forgetful).machineUsers));
          expect(await outcomeOf(command([a, b][nodeIndex] as MachineUsers))).toBe(expected);
        }
      }),
      { numRuns: 40 },
    );
  });
});
