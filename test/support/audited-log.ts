import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { logBatches } from '../../src/audit/log-batches.ts';
import { LogTree } from '../../src/audit/log-tree.ts';
import { machineUser } from '../../src/domain/aggregates.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { context, node, organizationId, robot, TestClock } from './application.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A log with two machine users, `one` and `two`, whose events alternate, and what an attacker can do to its file. */
export async function auditedLog() {
  const folder = temporaryFolder();
  const file = join(folder, 'events.db');
  const treeFolder = join(folder, 'log-tree');
  const eventStore = closedAfterTest(openSqliteEventStore({ file }));
  const clock = new TestClock();
  const { commands, machineUsers } = node(eventStore, clock);
  for (const step of [add, setSecret, deactivate, reactivate, setSecret, change]) {
    for (const userId of ['one', 'two']) {
      await step({ commands, machineUsers }, userId);
      clock.advance(1000);
    }
  }
  return {
    folder,
    file,
    treeFolder,
    eventStore,
    commands,
    machineUsers,
    clock,
    /** Brings the log tree up to the log. */
    async growTree() {
      const tree = LogTree.open(treeFolder);
      for await (const events of logBatches(eventStore, { after: tree.lastLeaf()?.position ?? 0n })) {
        tree.append(events);
      }
      tree.close();
    },
    /** Changes the file behind the program's back. */
    tamper(sql: string, ...parameters: SQLInputValue[]) {
      const db = new DatabaseSync(file);
      if (parameters.length === 0) db.exec(sql);
      else db.prepare(sql).run(...parameters);
      db.close();
    },
    positionOf(stream: string, revision: number): bigint {
      const db = new DatabaseSync(file, { readOnly: true });
      const row = db
        .prepare('SELECT position FROM events WHERE stream = ? AND revision = ?')
        .get(stream, revision);
      db.close();
      return BigInt(row?.['position'] as number);
    },
  };
}

type Step = (
  service: Pick<ReturnType<typeof node>, 'commands' | 'machineUsers'>,
  userId: string,
) => Promise<unknown>;

const add: Step = ({ machineUsers }, userId) =>
  machineUsers.add({ ...robot, userId, userName: userId }, context);
const setSecret: Step = ({ machineUsers }, userId) =>
  machineUsers.setSecret({ userId, organizationId }, context);
const deactivate: Step = ({ machineUsers }, userId) =>
  machineUsers.deactivate({ userId, organizationId }, context);
const reactivate: Step = ({ machineUsers }, userId) =>
  machineUsers.reactivate({ userId, organizationId }, context);
const change: Step = ({ commands }, userId) => {
  const profile = { name: `Robot ${userId}`, description: 'welds', accessTokenType: 'jwt' } as const;
  return commands.execute(
    machineUser,
    userId,
    { type: 'ChangeMachineUser', organizationId, ...profile },
    context,
  );
};
