import { expect, test } from 'vitest';
import { machineUser } from '../../src/domain/aggregates.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { withAppend } from '../support/faulty-event-store.ts';

const taken = { code: 'USER_NAME_TAKEN', httpStatus: 409 };
const claimGrace = 30_000;

test.each(['robot', 'ROBOT', ' robot ', 'ｒｏｂｏｔ'])(
  'a second user cannot have the name, spelled %j',
  async (userName) => {
    const { machineUsers } = node(emptyStore());
    await machineUsers.add(robot, context);
    await expect(machineUsers.add({ ...robot, userName }, context)).rejects.toMatchObject(taken);
  },
);

test('of many users that are added at once under one name, on several nodes, exactly one succeeds', async () => {
  const store = emptyStore();
  const nodes = Array.from({ length: 4 }, () => node(store));
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => nodes[index % 4]?.machineUsers.add(robot, context)),
  );
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(refused).toHaveLength(19);
  for (const { reason } of refused) expect(reason).toMatchObject(taken);
});

test('a user id in use is refused, and the name stays free', async () => {
  const { machineUsers } = node(emptyStore());
  const { userId } = await machineUsers.add(robot, context);
  const again = machineUsers.add({ ...robot, userName: 'welder', userId }, context);
  await expect(again).rejects.toMatchObject({ code: 'USER_ALREADY_EXISTS' });
  await machineUsers.add({ ...robot, userName: 'welder' }, context);
});

/** A store on which an append that begins with such an event stops: for good (a crash), or until the test lets it go on. */
function stoppingBefore(type: string, store: ReturnType<typeof emptyStore>, wait: () => Promise<void>) {
  return withAppend(store, async (append, stream, events, revision) => {
    if (events[0]?.type === type) await wait();
    return append(stream, events, revision);
  });
}

/** The same, until `goOn`. */
function pausingBefore(type: string, store: ReturnType<typeof emptyStore>) {
  const [paused, reached] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = stoppingBefore(type, store, () => {
    reached.resolve();
    return paused.promise;
  });
  return { ...node(slow), reached: reached.promise, goOn: paused.resolve };
}

test('a crash between the claim and the addition does not block the name for good', async () => {
  const store = emptyStore();
  const crashing = stoppingBefore('MachineUserAdded', store, async () => {
    throw new Error('crash');
  });
  await expect(node(crashing).machineUsers.add({ ...robot, userId: 'lost' }, context)).rejects.toThrow(
    'crash',
  );

  const { machineUsers, clock } = node(store);
  clock.advance(claimGrace);
  await expect(machineUsers.add(robot, context)).rejects.toMatchObject(taken);
  clock.advance(1);
  await machineUsers.add({ ...robot, userId: 'found' }, context);
  await machineUsers.add({ ...robot, userId: 'lost', userName: 'other' }, context);
});

test('a slow addition whose name was taken over meanwhile fails, and does not make a second user of that name', async () => {
  const store = emptyStore();
  const slow = pausingBefore('MachineUserAdded', store);
  const slowAddition = slow.machineUsers.add({ ...robot, userId: 'slow' }, context);
  await slow.reached;

  const fast = node(store);
  fast.clock.advance(claimGrace + 1);
  await fast.machineUsers.add({ ...robot, userId: 'fast' }, context);

  slow.goOn();
  await expect(slowAddition).rejects.toMatchObject(taken);
  expect((await fast.commands.load(machineUser, 'slow')).state.status).toBe('absent');
});

test('a slow addition that claims its name again in time keeps it from who is taking it over', async () => {
  const store = emptyStore();
  const slow = pausingBefore('MachineUserAdded', store);
  const slowAddition = slow.machineUsers.add({ ...robot, userId: 'slow' }, context);
  await slow.reached;

  const taking = pausingBefore('UserNameReleased', store);
  taking.clock.advance(claimGrace + 1);
  const fastAddition = taking.machineUsers.add({ ...robot, userId: 'fast' }, context);
  await taking.reached;

  slow.goOn();
  await slowAddition;
  taking.goOn();
  await expect(fastAddition).rejects.toMatchObject(taken);
  expect((await slow.commands.load(machineUser, 'fast')).state.status).toBe('absent');
});

test('the name of a removed user becomes free, also when its release was lost', async () => {
  const store = emptyStore();
  const { machineUsers, commands, clock } = node(store);
  const { userId } = await machineUsers.add(robot, context);
  await commands.execute(machineUser, userId, { type: 'Remove', organizationId }, context);
  clock.advance(claimGrace + 1);
  await machineUsers.add(robot, context);
});

test('a user that is renamed back before the renaming has let go of its old name keeps it', async () => {
  const store = emptyStore();
  const first = node(store);
  const { userId } = await first.machineUsers.add({ ...robot, userName: 'a' }, context);
  const user = { userId, organizationId };
  let renamedBack = false;
  const slow = node(
    withAppend(store, async (append, stream, ...rest) => {
      const result = await append(stream, ...rest);
      // The renaming to b is stored; the user is renamed back before the name a is released.
      if (stream === `machineUser-${userId}` && !renamedBack) {
        renamedBack = true;
        await node(store).machineUsers.changeUserName(user, 'a', context);
      }
      return result;
    }),
  );
  await slow.machineUsers.changeUserName(user, 'b', context);
  await expect(node(store).machineUsers.add({ ...robot, userName: 'a' }, context)).rejects.toMatchObject(
    taken,
  );
});
