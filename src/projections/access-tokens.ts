import type { DatabaseSync } from 'node:sqlite';
import { accountTables } from './machine-users.ts';
import type { Projection } from './projection.ts';

/** Access tokens that were revoked one by one, for as long as they would have lived. */
export const accessTokensProjection: Projection = {
  tables: `
    CREATE TABLE revoked_access_tokens (
      token_id   TEXT PRIMARY KEY,
      expires_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX revoked_access_tokens_by_expiry ON revoked_access_tokens (expires_at);
  `,

  handlers(db) {
    const insert = db.prepare('INSERT INTO revoked_access_tokens VALUES (?, ?)');
    const forgetExpired = db.prepare('DELETE FROM revoked_access_tokens WHERE expires_at < ?');

    return {
      AccessTokenRevoked({ aggregateId, data, occurredAt }) {
        forgetExpired.run(occurredAt);
        insert.run(aggregateId, data.expiresAt);
      },
    };
  },
};

export interface TokenStanding {
  /** The user may act now: neither it nor its organization is inactive or locked. */
  readonly isActive: boolean;
  /** Tokens of an epoch before this one have ended, see `AccessTokenClaims`. */
  readonly tokenEpoch: number;
  /** This very token was revoked. */
  readonly isRevoked: boolean;
}

export function accessTokenQueries(db: DatabaseSync) {
  const standing = db.prepare(
    `SELECT u.state = 'active' AND o.state = 'active' AS isActive, u.token_epoch AS tokenEpoch,
            EXISTS (SELECT 1 FROM revoked_access_tokens WHERE token_id = ?) AS isRevoked
       FROM ${accountTables} WHERE u.user_id = ?`,
  );

  return {
    /** What decides whether a token is alive; undefined when its user is unknown or was removed. */
    tokenStanding(tokenId: string, userId: string): TokenStanding | undefined {
      const row = standing.get(tokenId, userId);
      if (row === undefined) return undefined;
      return {
        isActive: row['isActive'] === 1,
        tokenEpoch: row['tokenEpoch'] as number,
        isRevoked: row['isRevoked'] === 1,
      };
    },
  };
}
