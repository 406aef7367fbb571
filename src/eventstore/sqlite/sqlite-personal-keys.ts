import { randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { WrongWrappingKeyError } from '../errors.ts';
import type { PersonalKey, PersonalKeys, StoredPersonalKey } from '../personal-keys.ts';
import { WrappingKeys } from '../wrapping-keys.ts';
import { createPrivateFile } from './private-file.ts';

export interface SqlitePersonalKeysOptions {
  /** Made, with mode 0600, when it does not exist. */
  readonly file: string;
  /** 32 bytes each: the keys are stored under the first. */
  readonly wrappingKeys: readonly Uint8Array[];
  /** Only reads, also beside the process that writes. */
  readonly readOnly?: boolean;
}

/** In milliseconds: how long another process may hold the file. */
const busyTimeout = 5000;

/**
 * Rows are added at the end and never moved: a row that SQLite moved to another page could leave a copy of a key behind.
 */
const table = `
  CREATE TABLE IF NOT EXISTS personal_keys (
    number    INTEGER PRIMARY KEY,
    user_id   TEXT NOT NULL UNIQUE,
    wrapped   BLOB, -- the key, encrypted; null: destroyed
    erased_at TEXT
  ) STRICT;
`;

interface KeyRow {
  readonly user_id: string;
  readonly wrapped: Uint8Array | null;
  readonly erased_at: string | null;
}

/** Personal keys in a file of their own beside the event log. */
export function openSqlitePersonalKeys(options: SqlitePersonalKeysOptions): PersonalKeys {
  return new SqlitePersonalKeys(options);
}

/**
 * Adds the keys in `backup` to those in `file`, which is made when there is none. A key that was destroyed in one of the two
 * stays destroyed: a backup does not bring back who was erased since.
 *
 * @param winner whose key is kept where both have one
 */
export function mergePersonalKeys(file: string, backup: string, winner: 'file' | 'backup'): void {
  createPrivateFile(file);
  const db = openForWriting(file);
  try {
    db.prepare('ATTACH ? AS backup').run(backup);
    db.exec(`
      INSERT INTO personal_keys (user_id, wrapped, erased_at)
        SELECT user_id, wrapped, erased_at FROM backup.personal_keys WHERE true
        ON CONFLICT (user_id) DO UPDATE SET
          wrapped = iif(
            coalesce(erased_at, excluded.erased_at) IS NULL,
            ${winner === 'backup' ? 'excluded.wrapped' : 'wrapped'},
            NULL
          ),
          erased_at = coalesce(erased_at, excluded.erased_at);
      DETACH backup;
    `);
    dropTraces(db, file);
  } finally {
    db.close();
  }
}

/** The keys in a file, as they are stored, those that were destroyed too. */
export function storedPersonalKeys(file: string): StoredPersonalKey[] {
  const db = new DatabaseSync(file, { readOnly: true, timeout: busyTimeout });
  try {
    const rows = db.prepare('SELECT * FROM personal_keys ORDER BY number').all() as unknown as KeyRow[];
    return rows.map(({ user_id: userId, wrapped, erased_at: erasedAt }) =>
      wrapped === null ? { userId, erasedAt: erasedAt ?? '' } : { userId, wrapped },
    );
  } finally {
    db.close();
  }
}

/** Writes keys, as they are stored elsewhere, to an empty file. */
export function storePersonalKeys(file: string, keys: Iterable<StoredPersonalKey>): void {
  const db = openForWriting(file);
  try {
    const insert = db.prepare('INSERT INTO personal_keys (user_id, wrapped, erased_at) VALUES (?, ?, ?)');
    db.exec('BEGIN');
    for (const key of keys) {
      if ('erasedAt' in key) insert.run(key.userId, null, key.erasedAt);
      else insert.run(key.userId, key.wrapped, null);
    }
    db.exec('COMMIT');
  } finally {
    db.close();
  }
}

class SqlitePersonalKeys implements PersonalKeys {
  readonly needsScavenge = false;
  readonly #db: DatabaseSync;
  readonly #file: string;
  readonly #wrappingKeys: WrappingKeys;
  /** Keys that share the next transaction, and so one fsync. */
  #queue = new Map<string, Uint8Array>();
  #flush: Promise<void> | undefined;

  constructor(options: SqlitePersonalKeysOptions) {
    const { file, wrappingKeys, readOnly = false } = options;
    this.#file = file;
    this.#wrappingKeys = new WrappingKeys(wrappingKeys);
    if (readOnly) {
      this.#db = new DatabaseSync(file, { readOnly, timeout: busyTimeout });
      return;
    }
    createPrivateFile(file);
    this.#db = openForWriting(file);
    try {
      // A crash may have come between a deletion and this.
      dropTraces(this.#db, file);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  async prepare(): Promise<void> {
    if (!this.#wrappingKeys.isChanging) return;
    const update = this.#db.prepare('UPDATE personal_keys SET wrapped = ? WHERE user_id = ?');
    const rows = this.#db.prepare('SELECT * FROM personal_keys WHERE wrapped IS NOT NULL').all();
    this.#inTransaction(() => {
      for (const { user_id: userId, wrapped } of rows as unknown as KeyRow[]) {
        const anew = this.#wrappingKeys.wrapAnew(userId, wrapped as Uint8Array);
        if (anew !== undefined) update.run(anew, userId);
      }
    });
    dropTraces(this.#db, this.#file);
  }

  async keyOf(userId: string): Promise<PersonalKey | undefined> {
    const row = this.#db.prepare('SELECT * FROM personal_keys WHERE user_id = ?').get(userId);
    if (row === undefined) return undefined;
    const { wrapped, erased_at: erasedAt } = row as unknown as KeyRow;
    return wrapped === null ? { erasedAt: erasedAt ?? '' } : { key: this.#unwrap(userId, wrapped) };
  }

  async create(userId: string): Promise<PersonalKey> {
    if (!this.#queue.has(userId)) this.#queue.set(userId, randomBytes(32));
    this.#flush ??= nextTurn().then(() => this.#commitQueue());
    await this.#flush;
    return (await this.keyOf(userId)) as PersonalKey;
  }

  async destroy(userId: string, erasedAt: string): Promise<void> {
    this.#db
      .prepare(
        `INSERT INTO personal_keys (user_id, erased_at) VALUES (?, ?) ON CONFLICT (user_id)
          DO UPDATE SET wrapped = NULL, erased_at = coalesce(erased_at, excluded.erased_at)`,
      )
      .run(userId, erasedAt);
    dropTraces(this.#db, this.#file);
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #commitQueue(): void {
    const queue = this.#queue;
    this.#queue = new Map();
    this.#flush = undefined;
    const insert = this.#db.prepare(
      'INSERT INTO personal_keys (user_id, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING',
    );
    this.#inTransaction(() => {
      for (const [userId, key] of queue) insert.run(userId, this.#wrappingKeys.wrap(userId, key));
    });
  }

  #inTransaction(write: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      write();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #unwrap(userId: string, wrapped: Uint8Array): Uint8Array {
    const key = this.#wrappingKeys.open(userId, wrapped);
    if (key !== undefined) return key;
    throw new WrongWrappingKeyError(`the master key is not the one that ${this.#file} was written with`);
  }
}

function openForWriting(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: busyTimeout });
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;');
    db.exec(table);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The write-ahead log goes into the file, where what is deleted is overwritten, and is emptied. */
function dropTraces(db: DatabaseSync, file: string): void {
  const { busy } = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
  if (busy !== 0) throw new Error(`${file} is being read: what was deleted is still in it`);
}
