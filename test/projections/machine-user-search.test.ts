import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { normalizeUserName } from '../../src/domain/user-name/normalize.ts';
import type { MachineUserQuery, MachineUserSearch } from '../../src/projections/machine-user-search.ts';
import type { MachineUserView } from '../../src/projections/machine-users.ts';
import { Projector } from '../../src/projections/projector.ts';
import { foldCase, type TextMethod } from '../../src/projections/text-condition.ts';
import { context, emptyStore, node, robot } from '../support/application.ts';
import { openReadModel } from '../support/read-model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Names that share beginnings and differ in case, with characters that sort and fold in odd ways. */
const userNames = [
  ...['robot', 'Robot-1', 'robot-2', 'ROBOT-3', 'rob', 'ro\uffff', 'ro\u{10ffff}', 'Straße', 'strasse'],
  ...['äpfel', 'ÄPFEL-2', "o'brien", '100%', '_under', 'a\u0308pfel-3', '機械', '\u{1f916}', 'z'],
];
const organizations = ['org-1', 'org-2'];
const states = ['active', 'inactive', 'locked'] as const;

async function searchable() {
  const store = emptyStore();
  const { machineUsers, clock } = node(store);
  for (const [index, userName] of userNames.entries()) {
    const organizationId = organizations[index % 2] ?? '';
    const user = { userId: `u${index}`, organizationId };
    const name = userNames[(index * 7) % userNames.length] ?? '';
    await machineUsers.add({ ...robot, ...user, userName, name }, context);
    if (index % 5 === 0) await machineUsers.deactivate(user, context);
    if (index % 5 === 1) await machineUsers.lock(user, context);
    // Some were made at the same moment: the id decides between them.
    if (index % 3 === 0) clock.advance(1000);
  }
  const readModel = await openReadModel(join(temporaryFolder(), 'read-model.db'), store);
  const projector = new Projector({ eventStore: store, readModel, clock: clock.read });
  onTestFinished(async () => {
    await projector.stop();
    readModel.close();
  });
  projector.start();
  await projector.caughtUp;
  const users = userNames.map((_, index) => readModel.queries.machineUserById(`u${index}`));
  return {
    search: readModel.queries.searchMachineUsers,
    users: users.filter((user): user is MachineUserView => user !== undefined),
  };
}

const text = fc.oneof(
  fc.constantFrom(...userNames),
  fc
    .constantFrom(...userNames)
    .chain((name) => fc.nat(name.length).map((end) => [...name].slice(0, end).join(''))),
  fc
    .constantFrom(...userNames)
    .chain((name) => fc.nat(name.length).map((start) => [...name].slice(start).join(''))),
  fc.constantFrom('', 'STRASSE', '%', "'", 'ÄPF'),
);

const { query: queries } = fc.letrec<{ query: MachineUserQuery }>((tie) => ({
  query: fc.oneof(
    { maxDepth: 3 },
    fc.record({
      kind: fc.constant('text' as const),
      field: fc.constantFrom('userName' as const, 'name' as const),
      value: text,
      method: fc.constantFrom<TextMethod>('equals', 'startsWith', 'contains', 'endsWith'),
      ignoreCase: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('state' as const), state: fc.constantFrom(...states) }),
    fc.record({ kind: fc.constantFrom('all' as const, 'none' as const) }),
    fc.record({
      kind: fc.constant('ids' as const),
      userIds: fc.array(fc.constantFrom('u1', 'u5', 'u17', 'nobody')),
    }),
    fc.record({
      kind: fc.constant('organization' as const),
      organizationId: fc.constantFrom(...organizations),
    }),
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      queries: fc.array(tie('query'), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), query: tie('query') }),
  ),
}));

function matches(user: MachineUserView, query: MachineUserQuery): boolean {
  switch (query.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'text':
      return matchesText(user, query);
    case 'state':
      return user.state === query.state;
    case 'ids':
      return query.userIds.includes(user.userId);
    case 'organization':
      return user.organizationId === query.organizationId;
    case 'and':
      return query.queries.every((one) => matches(user, one));
    case 'or':
      return query.queries.some((one) => matches(user, one));
    case 'not':
      return !matches(user, query.query);
  }
}

function matchesText(user: MachineUserView, query: MachineUserQuery & { kind: 'text' }): boolean {
  const fold = query.field === 'userName' ? normalizeUserName : foldCase;
  const [actual, wanted] = query.ignoreCase
    ? [fold(user[query.field]), fold(query.value)]
    : [user[query.field], query.value];
  if (query.method === 'equals') return actual === wanted;
  if (query.method === 'startsWith') return actual.startsWith(wanted);
  return query.method === 'contains' ? actual.includes(wanted) : actual.endsWith(wanted);
}

/** The order of SQLite and of UTF-8: by code point, where JavaScript compares UTF-16 units. */
function byCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function expected(users: readonly MachineUserView[], search: MachineUserSearch): MachineUserView[] {
  const { organizationIds, query, sortBy, ascending } = search;
  const found = users.filter(
    (user) => organizationIds?.includes(user.organizationId) !== false && matches(user, query),
  );
  const direction = ascending ? 1 : -1;
  return found.toSorted(
    (a, b) => direction * (byCodePoints(a[sortBy], b[sortBy]) || byCodePoints(a.userId, b.userId)),
  );
}

test('a search gives what a look at every user gives, in order, page by page, with the total', async () => {
  const { search, users } = await searchable();
  fc.assert(
    fc.property(
      fc.record({
        organizationIds: fc.constantFrom(undefined, [], ['org-1'], organizations, ['nowhere']),
        query: queries,
        sortBy: fc.constantFrom(
          'creationDate' as const,
          'userName' as const,
          'name' as const,
          'state' as const,
        ),
        ascending: fc.boolean(),
        offset: fc.bigInt(0n, 20n),
        limit: fc.integer({ min: 1, max: 20 }),
      }),
      (options) => {
        const all = expected(users, options);
        const { total, items } = search(options);
        const start = Number(options.offset);
        expect({ total, ids: items.map((user) => user.userId) }).toEqual({
          total: all.length,
          ids: all.slice(start, start + options.limit).map((user) => user.userId),
        });
      },
    ),
    { numRuns: 500 },
  );
});
