import type { DatabaseSync } from 'node:sqlite';
import {
  accountColumns,
  type MachineUserAccount,
  type MachineUserAccountRow,
  toAccount,
} from './machine-users.ts';
import type { Projection } from './projection.ts';

/** The public keys that machine users sign their assertions with. */
export const machineKeysProjection: Projection = {
  tables: `
    CREATE TABLE machine_keys (
      key_id        TEXT PRIMARY KEY,
      user_id       TEXT NOT NULL,
      public_key    TEXT NOT NULL, -- PEM
      expires_at    TEXT NOT NULL,
      sequence      INTEGER NOT NULL, -- the stream version at which it was added
      creation_date TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX machine_keys_by_user ON machine_keys (user_id, creation_date);
  `,

  handlers(db) {
    const insert = db.prepare('INSERT INTO machine_keys VALUES (?, ?, ?, ?, ?, ?)');
    const deleteKey = db.prepare('DELETE FROM machine_keys WHERE key_id = ? AND user_id = ?');
    const deleteKeys = db.prepare('DELETE FROM machine_keys WHERE user_id = ?');

    return {
      MachineKeyAdded({ aggregateId, data, streamVersion, occurredAt }) {
        insert.run(data.keyId, aggregateId, data.publicKey, data.expiresAt, streamVersion, occurredAt);
      },
      MachineKeyRemoved({ aggregateId, data }) {
        deleteKey.run(data.keyId, aggregateId);
      },
      MachineUserRemoved({ aggregateId }) {
        deleteKeys.run(aggregateId);
      },
    };
  },
};

export interface MachineKeyView {
  readonly keyId: string;
  /** RFC 3339 */
  readonly expiresAt: string;
  readonly sequence: bigint;
  readonly creationDate: string;
}

export interface Page {
  readonly offset: number;
  readonly limit: number;
  /** Oldest first. */
  readonly ascending: boolean;
}

export function machineKeyQueries(db: DatabaseSync) {
  const columns = 'key_id AS keyId, expires_at AS expiresAt, sequence, creation_date AS creationDate';
  const one = db.prepare(`SELECT ${columns} FROM machine_keys WHERE key_id = ? AND user_id = ?`);
  const pageStatement = (order: 'ASC' | 'DESC') =>
    db.prepare(
      `SELECT ${columns} FROM machine_keys WHERE user_id = ?
        ORDER BY creation_date ${order}, key_id ${order} LIMIT ? OFFSET ?`,
    );
  const ascending = pageStatement('ASC');
  const descending = pageStatement('DESC');
  for (const statement of [one, ascending, descending]) statement.setReadBigInts(true);
  const count = db.prepare('SELECT count(*) AS count FROM machine_keys WHERE user_id = ?');
  const withAccount = db.prepare(
    `SELECT ${accountColumns}, public_key AS publicKey, expires_at AS expiresAt
       FROM machine_keys JOIN machine_users USING (user_id) WHERE key_id = ?`,
  );

  return {
    machineKey(userId: string, keyId: string): MachineKeyView | undefined {
      return one.get(keyId, userId) as unknown as MachineKeyView | undefined;
    },

    machineKeys(userId: string, page: Page): { total: number; keys: MachineKeyView[] } {
      const statement = page.ascending ? ascending : descending;
      return {
        total: count.get(userId)?.['count'] as number,
        keys: statement.all(userId, page.limit, page.offset) as unknown as MachineKeyView[],
      };
    },

    /** The user that a key is of, and what its signatures are verified with. */
    clientByKeyId(
      keyId: string,
    ):
      | { readonly account: MachineUserAccount; readonly publicKey: string; readonly expiresAt: string }
      | undefined {
      const row = withAccount.get(keyId);
      if (row === undefined) return undefined;
      const { publicKey, expiresAt, ...account } = row as unknown as MachineUserAccountRow & {
        readonly publicKey: string;
        readonly expiresAt: string;
      };
      return { account: toAccount(account), publicKey, expiresAt };
    },
  };
}
