import type { DatabaseSync } from 'node:sqlite';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import { type MachineUserEvent, machineUserEventSchemas } from '../domain/machine-user/events.ts';
import type { EventHandlers, Projected, Projection } from './projection.ts';

/** What happened to a machine user, when, and by whom. */
export interface MachineUserChange {
  readonly type: MachineUserEvent['type'];
  readonly sequence: bigint;
  readonly occurredAt: string;
  /** Null: Keyturn itself. */
  readonly editorId: string | null;
  /** Of the editor, where it is a user that exists; else null. */
  readonly editorUserName: string | null;
  readonly editorName: string | null;
}

export interface MachineUserChangesQuery {
  readonly userId: string;
  readonly organizationId: string;
  /** Exclusive: only changes with a greater sequence. */
  readonly after: bigint;
  readonly ascending: boolean;
  readonly limit: number;
}

export const machineUserChangesProjection: Projection = {
  tables: `
    CREATE TABLE machine_user_changes (
      user_id         TEXT NOT NULL,
      sequence        INTEGER NOT NULL,
      type            TEXT NOT NULL,
      occurred_at     TEXT NOT NULL,
      editor_id       TEXT,
      organization_id TEXT, -- with the addition of the user only
      PRIMARY KEY (user_id, sequence)
    ) STRICT, WITHOUT ROWID;
  `,

  handlers(db) {
    const insert = db.prepare('INSERT INTO machine_user_changes VALUES (?, ?, ?, ?, ?, ?)');
    const record = (event: Projected<KeyturnEvent>) => {
      const { aggregateId, streamVersion, type, occurredAt, editor } = event;
      const organizationId = type === 'MachineUserAdded' ? event.data.organizationId : null;
      insert.run(aggregateId, streamVersion, type, occurredAt, editor?.userId ?? null, organizationId);
    };
    const types = Object.keys(machineUserEventSchemas) as MachineUserEvent['type'][];
    return Object.fromEntries(types.map((type) => [type, record])) as EventHandlers;
  },
};

export function machineUserChangeQueries(db: DatabaseSync) {
  const organizationOf = db.prepare(
    'SELECT organization_id FROM machine_user_changes WHERE user_id = ? AND organization_id IS NOT NULL',
  );
  const page = (order: 'ASC' | 'DESC') => {
    const statement = db.prepare(
      `SELECT c.type, c.sequence, c.occurred_at AS occurredAt, c.editor_id AS editorId,
              e.user_name AS editorUserName, e.name AS editorName
         FROM machine_user_changes c LEFT JOIN machine_users e ON e.user_id = c.editor_id
        WHERE c.user_id = ? AND c.sequence > ? ORDER BY c.sequence ${order} LIMIT ?`,
    );
    statement.setReadBigInts(true);
    return statement;
  };
  const ascendingPage = page('ASC');
  const descendingPage = page('DESC');
  const ownerOf = (userId: string) => organizationOf.get(userId)?.['organization_id'] as string | undefined;

  return {
    /** Also those of a removed user. None for a user of another organization. */
    machineUserChanges(query: MachineUserChangesQuery): MachineUserChange[] {
      const { userId, organizationId, after, ascending, limit } = query;
      if (ownerOf(userId) !== organizationId) return [];
      const statement = ascending ? ascendingPage : descendingPage;
      return statement.all(userId, after, limit) as unknown as MachineUserChange[];
    },
  };
}
