import type { DatabaseSync } from 'node:sqlite';

/** The time now, in a query: RFC 3339 in UTC with milliseconds, which compare as text. */
export const now = 'keyturn_now()';

export function defineClock(db: DatabaseSync, clock: () => Date): void {
  db.function('keyturn_now', { directOnly: true }, () => clock().toISOString());
}

/** A condition on `machine_secrets s`. */
export const secretIsLive = `(s.expires_at IS NULL OR s.expires_at > ${now}) AND (s.retires_at IS NULL OR s.retires_at > ${now})`;
