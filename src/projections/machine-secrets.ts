import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import type { SecretTimes } from '../domain/machine-user/secrets.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import {
  accountColumns,
  accountTables,
  type MachineUserAccount,
  type MachineUserAccountRow,
  toAccount,
} from './machine-users.ts';
import type { Projected, Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';
import { secretIsLive } from './time-conditions.ts';

type AddedSecret = Projected<Extract<KeyturnEvent, { readonly type: 'MachineSecretSet' }>>;

/** The secrets of machine users that no event has ended. Whether one is live is a matter of the time. */
export const machineSecretsProjection: Projection = {
  tables: `
    CREATE TABLE machine_secrets (
      user_id          TEXT NOT NULL,
      secret_id        TEXT NOT NULL,
      hashed_secret    TEXT NOT NULL,
      is_imported      INTEGER NOT NULL,
      creation_date    TEXT NOT NULL,
      sequence         INTEGER NOT NULL, -- the stream version at which it was made
      expires_at       TEXT,
      retires_at       TEXT,
      announced_days   INTEGER, -- the fewest days before its expiry that somebody was told of
      is_leaked        INTEGER NOT NULL,
      allowed_networks TEXT, -- a JSON array
      max_uses         INTEGER,
      uses             INTEGER NOT NULL, -- only noted ones
      first_used       TEXT, -- to the hour, as the two others
      last_used        TEXT,
      last_late_use    TEXT, -- after it was replaced
      PRIMARY KEY (user_id, secret_id)
    ) STRICT, WITHOUT ROWID;
  `,

  indexes: `
    CREATE INDEX IF NOT EXISTS machine_secrets_by_id ON machine_secrets (secret_id);
    CREATE INDEX IF NOT EXISTS machine_secrets_by_expiry ON machine_secrets (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS machine_secrets_by_retirement ON machine_secrets (retires_at) WHERE retires_at IS NOT NULL;
  `,

  handlers(db, putOff) {
    const insert = db.prepare(
      `INSERT INTO machine_secrets VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, 0, ?, ?, 0, NULL, NULL, NULL)`,
    );
    /** New secrets of a user: where one replaces another again and again, only the last is written. */
    const added = putOff<AddedSecret[]>((secrets) => {
      for (const { aggregateId, data, occurredAt, streamVersion } of secrets) {
        insert.run(
          aggregateId,
          data.secretId,
          data.hashedSecret,
          data.isImported ? 1 : 0,
          occurredAt,
          streamVersion,
          data.expiresAt ?? null,
          data.allowedNetworks === undefined ? null : JSON.stringify(data.allowedNetworks),
          data.maxUses ?? null,
        );
      }
    });
    const set = (assignments: string) => {
      const statement = db.prepare(
        `UPDATE machine_secrets SET ${assignments} WHERE user_id = :userId AND secret_id = :secretId`,
      );
      return (
        { aggregateId: userId }: { readonly aggregateId: string },
        secretId: string,
        values: Readonly<Record<string, SQLInputValue>> = {},
      ) => {
        added.writeOne(userId);
        statement.run({ userId, secretId, ...values });
      };
    };
    const setHash = set('hashed_secret = :hash');
    const setExpiry = set('expires_at = :expiresAt, announced_days = NULL');
    const setRetirement = set('retires_at = :retiresAt');
    const setAnnounced = set('announced_days = :days');
    const setLeaked = set('is_leaked = 1');
    const setUsed = set(
      `first_used = coalesce(first_used, :time), last_used = :time, uses = coalesce(:uses, uses + 1)`,
    );
    const setLateUse = set('last_late_use = :time');
    const deleteOne = db.prepare('DELETE FROM machine_secrets WHERE user_id = ? AND secret_id = ?');
    const deleteAll = db.prepare('DELETE FROM machine_secrets WHERE user_id = ?');

    const remove = (userId: string, secretId: string, secrets = added.get(userId)) => {
      const index = secrets?.findIndex(({ data }) => data.secretId === secretId) ?? -1;
      if (index >= 0) secrets?.splice(index, 1);
      else deleteOne.run(userId, secretId);
    };
    const ended = (event: { readonly aggregateId: string; readonly data: { readonly secretId: string } }) =>
      remove(event.aggregateId, event.data.secretId);

    return {
      MachineSecretSet(event) {
        const { aggregateId: userId, data } = event;
        for (const { secretId, retiresAt } of data.retirements ?? []) {
          setRetirement(event, secretId, { retiresAt });
        }
        const secrets = added.get(userId);
        for (const replaced of data.replacedSecretIds) remove(userId, replaced, secrets);
        if (secrets === undefined) added.set(userId, [event]);
        else secrets.push(event);
      },
      MachineSecretRehashed(event) {
        setHash(event, event.data.secretId, { hash: event.data.hashedSecret });
      },
      MachineSecretExpiryChanged(event) {
        setExpiry(event, event.data.secretId, { expiresAt: event.data.expiresAt ?? null });
      },
      MachineSecretRetirementCancelled(event) {
        setRetirement(event, event.data.secretId, { retiresAt: null });
      },
      MachineSecretExpiring(event) {
        setAnnounced(event, event.data.secretId, { days: event.data.daysBefore });
      },
      MachineSecretLeaked(event) {
        setLeaked(event, event.data.secretId);
      },
      MachineSecretUsed(event) {
        const { secretId, uses = null } = event.data;
        setUsed(event, secretId, { time: event.occurredAt, uses });
      },
      MachineSecretUsedAfterReplacement(event) {
        setLateUse(event, event.data.secretId, { time: event.occurredAt });
      },
      MachineSecretExpired: ended,
      MachineSecretRetired: ended,
      MachineSecretRemoved({ aggregateId, data }) {
        for (const secretId of data.secretIds) remove(aggregateId, secretId);
      },
      MachineUserRemoved({ aggregateId }) {
        added.forget(aggregateId);
        deleteAll.run(aggregateId);
      },
    };
  },
};

/** Times are RFC 3339. */
export interface MachineSecretView extends SecretTimes {
  readonly secretId: string;
  readonly isImported: boolean;
  readonly creationDate: string;
  /** The stream version at which it was made. */
  readonly sequence: bigint;
  readonly isLeaked: boolean;
  readonly allowedNetworks: readonly string[] | undefined;
  readonly maxUses: number | undefined;
  readonly uses: number;
  /** To the hour, as the two others. Undefined: never. */
  readonly firstUsed: string | undefined;
  readonly lastUsed: string | undefined;
  /** After it was replaced. */
  readonly lastLateUse: string | undefined;
}

/** The live secrets of a machine user, and what was tried that is none of them. */
export interface MachineSecretsView {
  /** Oldest first. */
  readonly secrets: readonly MachineSecretView[];
  /** Since the user was added. `last` is RFC 3339, to the minute; null: never. */
  readonly failedChecks: { readonly count: number; readonly last: string | null };
}

/** A secret as one signs in with it. */
export interface StoredSecret extends SecretTimes {
  readonly secretId: string;
  readonly hashedSecret: string;
  readonly isImported: boolean;
  readonly allowedNetworks: readonly string[] | undefined;
  readonly maxUses: number | undefined;
}

export interface StoredCredential {
  readonly account: MachineUserAccount;
  readonly secret: StoredSecret;
}

/** Of secrets that clients signed in with, about 1 kB each. */
const rememberedCredentials = 50_000;

const viewColumns = `
  secret_id AS secretId, is_imported AS isImported, creation_date AS creationDate, sequence, expires_at AS expiresAt,
  retires_at AS retiresAt, is_leaked AS isLeaked, allowed_networks AS allowedNetworks, max_uses AS maxUses, uses,
  first_used AS firstUsed, last_used AS lastUsed, last_late_use AS lastLateUse`;

const storedColumns = `
  s.secret_id AS secretId, s.hashed_secret AS hashedSecret, s.is_imported AS isImported, s.expires_at AS expiresAt,
  s.retires_at AS retiresAt, s.allowed_networks AS allowedNetworks, s.max_uses AS maxUses`;

export function machineSecretQueries(db: DatabaseSync, recentAnswers: RecentAnswers) {
  const listed = db.prepare(
    `SELECT ${viewColumns} FROM machine_secrets s WHERE user_id = ? AND ${secretIsLive} ORDER BY sequence`,
  );
  listed.setReadBigInts(true);
  const one = db.prepare(
    `SELECT ${viewColumns} FROM machine_secrets s WHERE user_id = ? AND secret_id = ? AND ${secretIsLive}`,
  );
  one.setReadBigInts(true);
  const byId = db.prepare(
    `SELECT ${accountColumns}, ${storedColumns}
       FROM ${accountTables} JOIN machine_secrets s USING (user_id) WHERE s.secret_id = ? AND s.is_imported = 0`,
  );
  const imported = db.prepare(
    `SELECT ${accountColumns}, ${storedColumns}
       FROM ${accountTables} JOIN machine_secrets s USING (user_id) WHERE u.login_name = ? AND s.is_imported = 1`,
  );
  const credentialById = recentAnswers.remember(
    (secretId) => {
      const row = byId.get(secretId);
      return row && toCredential(row);
    },
    ({ account }) => [account.userId, account.organizationId],
    rememberedCredentials,
  );
  const failedChecksOf = db.prepare(
    'SELECT failed_checks AS count, last_failed_check AS last FROM machine_users WHERE user_id = ?',
  );
  const usersWith = (condition: string) =>
    db.prepare(
      `SELECT DISTINCT u.user_id AS userId, u.organization_id AS organizationId
         FROM machine_secrets s JOIN machine_users u USING (user_id) WHERE ${condition} LIMIT :limit`,
    );
  const withEnded = usersWith('s.expires_at <= :now OR s.retires_at <= :now');
  const withUnannounced = usersWith(
    `s.expires_at <= :then AND s.expires_at > :now AND (s.announced_days IS NULL OR s.announced_days > :days)
       AND (s.retires_at IS NULL OR s.retires_at >= s.expires_at)
       AND julianday(s.expires_at) - julianday(s.creation_date) > :days`,
  );

  return {
    /** The live secrets of a user, oldest first, and how often others were tried. */
    machineSecretsOf(userId: string): MachineSecretsView | undefined {
      const failedChecks = failedChecksOf.get(userId);
      if (failedChecks === undefined) return undefined;
      return {
        secrets: listed.all(userId).map(toView),
        failedChecks: failedChecks as unknown as MachineSecretsView['failedChecks'],
      };
    },

    machineSecret(userId: string, secretId: string): MachineSecretView | undefined {
      const row = one.get(userId, secretId);
      return row && toView(row);
    },

    /** The secret, unless an event has ended it, and whose it is. Its time may have come: see `isLive`. */
    clientBySecretId(secretId: string): StoredCredential | undefined {
      return credentialById(secretId);
    },

    /** Users with a secret whose time has come, or of whose expiry nobody was told the given days before. */
    usersWithDueSecrets(
      now: Date,
      announcedDays: readonly number[],
      limit: number,
    ): { readonly userId: string; readonly organizationId: string }[] {
      const time = now.toISOString();
      const rows = [
        ...withEnded.all({ now: time, limit }),
        ...announcedDays.flatMap((days) => {
          const then = new Date(now.getTime() + days * 24 * 3600 * 1000).toISOString();
          return withUnannounced.all({ now: time, then, days, limit });
        }),
      ] as unknown as { userId: string; organizationId: string }[];
      return [...new Map(rows.map((row) => [row.userId, row])).values()].slice(0, limit);
    },

    /** The secrets of a user that have not Keyturn's form. */
    importedSecretsOf(userName: string): StoredCredential[] {
      return imported.all(normalizeUserName(userName)).map(toCredential);
    },
  };
}

function toView(row: Record<string, unknown>): MachineSecretView {
  const { isImported, isLeaked, uses, maxUses, allowedNetworks, ...view } = withoutNulls(row);
  return {
    ...view,
    isImported: isImported === 1n,
    isLeaked: isLeaked === 1n,
    uses: Number(uses),
    maxUses: maxUses === undefined ? undefined : Number(maxUses),
    allowedNetworks: networksOf(allowedNetworks),
  } as MachineSecretView;
}

function toCredential(row: Record<string, unknown>): StoredCredential {
  const { secretId, hashedSecret, isImported, expiresAt, retiresAt, allowedNetworks, maxUses, ...account } =
    withoutNulls(row);
  const secret = {
    secretId,
    hashedSecret,
    isImported: isImported === 1,
    expiresAt,
    retiresAt,
    allowedNetworks: networksOf(allowedNetworks),
    maxUses,
  } as StoredSecret;
  return { account: toAccount(account as unknown as MachineUserAccountRow), secret };
}

/** The very object, which nobody else has. */
function withoutNulls(row: Record<string, unknown>): Record<string, unknown> {
  for (const name in row) row[name] ??= undefined;
  return row;
}

function networksOf(json: unknown): readonly string[] | undefined {
  return json === undefined ? undefined : (JSON.parse(String(json)) as string[]);
}
