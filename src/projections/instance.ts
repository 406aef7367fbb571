import type { DatabaseSync } from 'node:sqlite';
import type { Projection } from './projection.ts';

export const instanceProjection: Projection = {
  tables: `
    CREATE TABLE instance (project_id TEXT NOT NULL, organization_id TEXT NOT NULL) STRICT;

    CREATE TABLE signing_keys (
      key_id                TEXT PRIMARY KEY,
      algorithm             TEXT NOT NULL,
      public_key            TEXT NOT NULL, -- a JWK
      encrypted_private_key TEXT NOT NULL, -- a compact JWE
      creation_date         TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,

  handlers(db) {
    const insertInstance = db.prepare('INSERT INTO instance VALUES (?, ?)');
    const insertKey = db.prepare('INSERT INTO signing_keys VALUES (?, ?, ?, ?, ?)');

    return {
      InstanceSetUpStarted({ data }) {
        insertInstance.run(data.projectId, data.organizationId);
      },
      SigningKeyAdded({ data, occurredAt }) {
        const { keyId, algorithm, publicKey, encryptedPrivateKey } = data;
        insertKey.run(keyId, algorithm, JSON.stringify(publicKey), encryptedPrivateKey, occurredAt);
      },
    };
  },
};

export interface SigningKeyView {
  readonly keyId: string;
  readonly algorithm: 'ES256';
  readonly publicKey: Readonly<Record<string, string>>;
  readonly encryptedPrivateKey: string;
}

export function instanceQueries(db: DatabaseSync) {
  const instance = db.prepare('SELECT project_id AS projectId FROM instance');
  const keys = db.prepare(
    `SELECT key_id AS keyId, algorithm, public_key AS publicKey, encrypted_private_key AS encryptedPrivateKey
       FROM signing_keys ORDER BY creation_date DESC, key_id`,
  );

  return {
    /** The project that stands in an audience for the management API; undefined before the set-up. */
    managementProjectId(): string | undefined {
      return instance.get()?.['projectId'] as string | undefined;
    },

    /** Newest first. */
    signingKeys(): SigningKeyView[] {
      return keys.all().map((row) => ({
        ...(row as unknown as SigningKeyView),
        publicKey: JSON.parse(row['publicKey'] as string) as Record<string, string>,
      }));
    },
  };
}
