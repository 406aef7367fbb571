import type { DatabaseSync } from 'node:sqlite';
import {
  accountColumns,
  accountTables,
  type MachineUserAccount,
  type MachineUserAccountRow,
  toAccount,
} from './machine-users.ts';
import { type PageOptions, pagedSearch, type SearchResult } from './paged-search.ts';
import type { Projection } from './projection.ts';
import { textCondition } from './text-condition.ts';

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

const columns = `u.key_id AS keyId, u.expires_at AS expiresAt, u.sequence, u.creation_date AS creationDate`;

export function machineKeyQueries(db: DatabaseSync) {
  const one = db.prepare(`SELECT ${columns} FROM machine_keys u WHERE key_id = ? AND user_id = ?`);
  one.setReadBigInts(true);
  const search = pagedSearch(db, { table: 'machine_keys', key: ['key_id'], columns });
  const withAccount = db.prepare(
    `SELECT ${accountColumns}, k.public_key AS publicKey, k.expires_at AS expiresAt
       FROM ${accountTables} JOIN machine_keys k USING (user_id) WHERE k.key_id = ?`,
  );

  return {
    machineKey(userId: string, keyId: string): MachineKeyView | undefined {
      return one.get(keyId, userId) as unknown as MachineKeyView | undefined;
    },

    searchMachineKeys(userId: string, page: PageOptions): SearchResult<MachineKeyView> {
      const { total, rows } = search(textCondition('user_id', userId, 'equals'), 'creation_date', page);
      return { total, items: rows as unknown as MachineKeyView[] };
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
