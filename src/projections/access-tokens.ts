import type { DatabaseSync } from 'node:sqlite';
import { accountTables } from './machine-users.ts';
import type { Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';

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

/** Of tokens that requests came with, less than 1 kB each. */
const rememberedTokens = 5000;

export function accessTokenQueries(db: DatabaseSync, recentAnswers: RecentAnswers) {
  const standing = db.prepare(
    `SELECT u.organization_id AS organizationId, u.state = 'active' AND o.state = 'active' AS isActive,
            u.token_epoch AS tokenEpoch, EXISTS (SELECT 1 FROM revoked_access_tokens WHERE token_id = ?) AS isRevoked
       FROM ${accountTables} WHERE u.user_id = ?`,
  );
  const standingOf = recentAnswers.remember(
    (key) => {
      const [tokenId, userId] = JSON.parse(key) as [string, string];
      const row = standing.get(tokenId, userId);
      if (row === undefined) return undefined;
      const { organizationId, tokenEpoch } = row as { organizationId: string; tokenEpoch: number };
      const answer: TokenStanding = {
        isActive: row['isActive'] === 1,
        tokenEpoch,
        isRevoked: row['isRevoked'] === 1,
      };
      return { answer, aggregateIds: [tokenId, userId, organizationId] };
    },
    ({ aggregateIds }) => aggregateIds,
    rememberedTokens,
  );

  return {
    /** What decides whether a token is alive; undefined when its user is unknown or was removed. */
    tokenStanding(tokenId: string, userId: string): TokenStanding | undefined {
      return standingOf(JSON.stringify([tokenId, userId]))?.answer;
    },
  };
}
