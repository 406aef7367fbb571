import type { DatabaseSync } from 'node:sqlite';
import { instanceId } from '../domain/aggregates.ts';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';
import type { Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';

export const instanceProjection: Projection = {
  tables: `
    CREATE TABLE instance (
      project_id           TEXT NOT NULL,
      organization_id      TEXT NOT NULL,
      signing_keys_version INTEGER NOT NULL -- the stream version after their last change
    ) STRICT;

    CREATE TABLE signing_keys (
      key_id                TEXT PRIMARY KEY,
      algorithm             TEXT NOT NULL,
      public_key            TEXT NOT NULL, -- a JWK
      encrypted_private_key TEXT NOT NULL, -- a compact JWE
      creation_date         TEXT NOT NULL,
      signs_from            TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,

  handlers(db) {
    const insertInstance = db.prepare('INSERT INTO instance VALUES (?, ?, 0)');
    const touchKeys = db.prepare('UPDATE instance SET signing_keys_version = ?');
    const insertKey = db.prepare('INSERT INTO signing_keys VALUES (?, ?, ?, ?, ?, ?)');
    const setEncryptedKey = db.prepare('UPDATE signing_keys SET encrypted_private_key = ? WHERE key_id = ?');
    const deleteKey = db.prepare('DELETE FROM signing_keys WHERE key_id = ?');

    return {
      InstanceSetUpStarted({ data }) {
        insertInstance.run(data.projectId, data.organizationId);
      },
      SigningKeyAdded({ data, occurredAt, streamVersion }) {
        const { keyId, algorithm, publicKey, encryptedPrivateKey, signsFrom = occurredAt } = data;
        insertKey.run(
          keyId,
          algorithm,
          JSON.stringify(publicKey),
          encryptedPrivateKey,
          occurredAt,
          signsFrom,
        );
        touchKeys.run(streamVersion);
      },
      SigningKeyReencrypted({ data, streamVersion }) {
        setEncryptedKey.run(data.encryptedPrivateKey, data.keyId);
        touchKeys.run(streamVersion);
      },
      SigningKeyRevoked({ data, streamVersion }) {
        deleteKey.run(data.keyId);
        touchKeys.run(streamVersion);
      },
    };
  },
};

export interface SigningKeyView {
  readonly keyId: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: Readonly<Record<string, string>>;
  readonly encryptedPrivateKey: string;
  /** RFC 3339 */
  readonly creationDate: string;
  /** RFC 3339 */
  readonly signsFrom: string;
}

export function instanceQueries(db: DatabaseSync, recentAnswers: RecentAnswers) {
  const instance = db.prepare(
    'SELECT project_id AS projectId, organization_id AS organizationId FROM instance',
  );
  const keysVersion = db.prepare('SELECT signing_keys_version AS version FROM instance');
  const keys = db.prepare(
    `SELECT key_id AS keyId, algorithm, public_key AS publicKey, encrypted_private_key AS encryptedPrivateKey,
            creation_date AS creationDate, signs_from AS signsFrom
       FROM signing_keys ORDER BY signs_from DESC, key_id`,
  );

  const currentKeysVersion = recentAnswers.remember(
    () => keysVersion.get()?.['version'] as number | undefined,
    () => [instanceId],
    1,
  );

  let projectId: string | undefined;

  return {
    /** The project that stands in an audience for the management API; undefined before the set-up. */
    managementProjectId(): string | undefined {
      // Set once for good.
      projectId ??= instance.get()?.['projectId'] as string | undefined;
      return projectId;
    },

    /** The organization of the set-up; undefined before it. */
    defaultOrganizationId(): string | undefined {
      return instance.get()?.['organizationId'] as string | undefined;
    },

    /** Another number after every change of the signing keys. */
    signingKeysVersion(): number {
      return currentKeysVersion(instanceId) ?? 0;
    },

    /** Without the revoked ones. The one that signs, or will sign, last comes first. */
    signingKeys(): SigningKeyView[] {
      return keys.all().map((row) => ({
        ...(row as unknown as SigningKeyView),
        publicKey: JSON.parse(row['publicKey'] as string) as Record<string, string>,
      }));
    },
  };
}
