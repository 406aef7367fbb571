import type { DatabaseSync } from 'node:sqlite';
import { EventStoreUnusableError } from '../errors.ts';

/** Written into the file (PRAGMA application_id), so that a foreign SQLite file is not taken for an event log: "KTEV". */
const applicationId = 0x4b544556;
const schemaVersion = 1;

/** Older files have `AUTOINCREMENT`: of use only where rows are deleted, for a page more to write with each commit. */
const tables = `
  CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    stream      TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    data        TEXT    NOT NULL,
    metadata    TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL, -- milliseconds since 1970
    UNIQUE (stream, revision)
  ) STRICT;
`;

/** Makes the tables in a new file. Throws {@link EventStoreUnusableError} for a file that is none of ours, or too new. */
export function prepareSchema(db: DatabaseSync, file: string): void {
  const { version, application, objects } = readHeader(db);
  if (version === 0 && application === 0 && objects === 0) {
    db.exec(`
      BEGIN IMMEDIATE;
      ${tables}
      PRAGMA application_id = ${applicationId};
      PRAGMA user_version = ${schemaVersion};
      COMMIT;
    `);
    return;
  }
  checkSchema(db, file);
}

/** Throws {@link EventStoreUnusableError} unless the file is an event log that this version reads. */
export function checkSchema(db: DatabaseSync, file: string): void {
  const { version, application } = readHeader(db);
  if (application !== applicationId) {
    throw new EventStoreUnusableError(`${file} is not an event log of Keyturn`);
  }
  if (version > schemaVersion) {
    throw new EventStoreUnusableError(
      `${file} has schema version ${version}, this Keyturn knows versions up to ${schemaVersion}: upgrade it`,
    );
  }
}

function readHeader(db: DatabaseSync): { version: number; application: number; objects: number } {
  return db
    .prepare(
      `SELECT user_version AS version, application_id AS application,
              (SELECT count(*) FROM sqlite_schema) AS objects
         FROM pragma_user_version, pragma_application_id`,
    )
    .get() as { version: number; application: number; objects: number };
}
