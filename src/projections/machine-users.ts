import type { DatabaseSync } from 'node:sqlite';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import type { Projected, Projection } from './projection.ts';

export interface MachineUserView {
  readonly userId: string;
  readonly organizationId: string;
  readonly userName: string;
  readonly name: string;
  readonly description: string;
  readonly accessTokenType: AccessTokenType;
  readonly state: 'active' | 'inactive' | 'locked';
  readonly hasSecret: boolean;
  readonly sequence: bigint;
  readonly creationDate: string;
  readonly changeDate: string;
}

/** A machine user as one signs in as it. */
export interface MachineUserAccount {
  readonly userId: string;
  readonly organizationId: string;
  readonly userName: string;
  readonly accessTokenType: AccessTokenType;
  readonly tokenEpoch: number;
  /** Neither the user nor its organization is inactive or locked. */
  readonly isActive: boolean;
}

/** Dates are RFC 3339; those of use are right to the hour. */
export interface MachineSecretView {
  readonly secretId: string;
  readonly creationDate: string;
  readonly firstUsed: string | null;
  readonly lastUsed: string | null;
}

export interface MachineSecretsView {
  readonly secrets: readonly MachineSecretView[];
  readonly failedChecks: { readonly count: number; readonly last: string | null };
}

export const machineUsersProjection: Projection = {
  tables: `
    CREATE TABLE machine_users (
      user_id           TEXT PRIMARY KEY,
      organization_id   TEXT NOT NULL,
      user_name         TEXT NOT NULL,
      login_name        TEXT NOT NULL, -- the user name, normalized
      name              TEXT NOT NULL,
      description       TEXT NOT NULL,
      access_token_type TEXT NOT NULL,
      state             TEXT NOT NULL,
      token_epoch       INTEGER NOT NULL, -- the stream version at which its access tokens ended last
      sequence          INTEGER NOT NULL,
      creation_date     TEXT NOT NULL,
      change_date       TEXT NOT NULL,
      failed_checks     INTEGER NOT NULL, -- of its secrets, since it was added
      last_failed_check TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX machine_users_by_login_name ON machine_users (login_name);
    CREATE INDEX machine_users_by_user_name ON machine_users (organization_id, user_name);
    CREATE INDEX machine_users_by_folded_name ON machine_users (organization_id, login_name);
    CREATE INDEX machine_users_by_creation_date ON machine_users (organization_id, creation_date);

    CREATE TABLE machine_secrets (
      secret_id     TEXT PRIMARY KEY,
      user_id       TEXT NOT NULL,
      hashed_secret TEXT NOT NULL,
      creation_date TEXT NOT NULL,
      first_used    TEXT,
      last_used     TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX machine_secrets_by_user ON machine_secrets (user_id);
  `,

  handlers(db) {
    const insertUser = db.prepare(
      `INSERT INTO machine_users VALUES (:userId, :organizationId, :userName, :loginName, :name, :description,
        :accessTokenType, 'active', 0, :sequence, :date, :date, 0, NULL)`,
    );
    const touch = db.prepare('UPDATE machine_users SET sequence = ?, change_date = ? WHERE user_id = ?');
    const setState = db.prepare('UPDATE machine_users SET state = ? WHERE user_id = ?');
    const setUserName = db.prepare(
      'UPDATE machine_users SET user_name = ?, login_name = ? WHERE user_id = ?',
    );
    const setProfile = db.prepare(
      `UPDATE machine_users SET name = coalesce(?, name), description = coalesce(?, description),
        access_token_type = coalesce(?, access_token_type) WHERE user_id = ?`,
    );
    const endTokens = db.prepare('UPDATE machine_users SET token_epoch = ? WHERE user_id = ?');
    const deleteUser = db.prepare('DELETE FROM machine_users WHERE user_id = ?');
    const insertSecret = db.prepare('INSERT INTO machine_secrets VALUES (?, ?, ?, ?, NULL, NULL)');
    const setHash = db.prepare(
      'UPDATE machine_secrets SET hashed_secret = ? WHERE secret_id = ? AND user_id = ?',
    );
    const deleteSecret = db.prepare('DELETE FROM machine_secrets WHERE secret_id = ? AND user_id = ?');
    const setUse = db.prepare(
      `UPDATE machine_secrets SET first_used = coalesce(first_used, :date), last_used = :date
        WHERE secret_id = :secretId AND user_id = :userId`,
    );
    const addFailedChecks = db.prepare(
      `UPDATE machine_users SET failed_checks = failed_checks + ?, last_failed_check = ? WHERE user_id = ?`,
    );
    const deleteSecrets = db.prepare('DELETE FROM machine_secrets WHERE user_id = ?');

    const touched = (event: Projected<KeyturnEvent>) =>
      touch.run(event.streamVersion, event.occurredAt, event.aggregateId);
    const tokensEnded = (event: Projected<KeyturnEvent>) => {
      endTokens.run(event.streamVersion, event.aggregateId);
      touched(event);
    };
    /** Tokens stay ended when the user is let in again. */
    const shutOut = (state: MachineUserView['state']) => (event: Projected<KeyturnEvent>) => {
      setState.run(state, event.aggregateId);
      tokensEnded(event);
    };
    const withState = (state: MachineUserView['state']) => (event: Projected<KeyturnEvent>) => {
      setState.run(state, event.aggregateId);
      touched(event);
    };

    return {
      MachineUserAdded(event) {
        insertUser.run({
          ...event.data,
          userId: event.aggregateId,
          loginName: normalizeUserName(event.data.userName),
          sequence: event.streamVersion,
          date: event.occurredAt,
        });
      },
      MachineUserChanged(event) {
        const { name = null, description = null, accessTokenType = null } = event.data;
        setProfile.run(name, description, accessTokenType, event.aggregateId);
        touched(event);
      },
      MachineUserNameChanged(event) {
        const { userName } = event.data;
        setUserName.run(userName, normalizeUserName(userName), event.aggregateId);
        touched(event);
      },
      MachineUserNameClaimLapsed: touched,
      MachineSecretSet(event) {
        const { secretId, hashedSecret, replacedSecretIds } = event.data;
        for (const replaced of replacedSecretIds) deleteSecret.run(replaced, event.aggregateId);
        insertSecret.run(secretId, event.aggregateId, hashedSecret, event.occurredAt);
        touched(event);
      },
      MachineSecretRehashed(event) {
        setHash.run(event.data.hashedSecret, event.data.secretId, event.aggregateId);
        touched(event);
      },
      MachineSecretRemoved(event) {
        for (const secretId of event.data.secretIds) deleteSecret.run(secretId, event.aggregateId);
        touched(event);
      },
      // Of another stream: the user's sequence and change date stay.
      MachineSecretUsed({ aggregateId, data, occurredAt }) {
        setUse.run({ userId: aggregateId, secretId: data.secretId, date: occurredAt });
      },
      MachineSecretCheckFailed({ aggregateId, data, occurredAt }) {
        addFailedChecks.run(data.count, occurredAt, aggregateId);
      },
      MachineKeyAdded: touched,
      MachineKeyRemoved: touched,
      MachineTokensEnded: tokensEnded,
      MachineUserDeactivated: shutOut('inactive'),
      MachineUserLocked: shutOut('locked'),
      MachineUserReactivated: withState('active'),
      MachineUserUnlocked: withState('active'),
      MachineUserRemoved(event) {
        deleteSecrets.run(event.aggregateId);
        deleteUser.run(event.aggregateId);
      },
    };
  },
};

interface MachineUserRow extends Omit<MachineUserView, 'hasSecret'> {
  readonly hasSecret: bigint;
}

/** What a query selects from `machine_users u` for {@link toMachineUserView}. It must read integers as bigint. */
export const machineUserColumns = `
  u.user_id AS userId, u.organization_id AS organizationId, u.user_name AS userName, u.name, u.description,
  u.access_token_type AS accessTokenType, u.state, u.sequence,
  EXISTS (SELECT 1 FROM machine_secrets s WHERE s.user_id = u.user_id) AS hasSecret,
  u.creation_date AS creationDate, u.change_date AS changeDate`;

export function toMachineUserView(row: Record<string, unknown>): MachineUserView {
  const user = row as unknown as MachineUserRow;
  return { ...user, hasSecret: user.hasSecret === 1n };
}

/** What a query selects from {@link accountTables} for {@link toAccount}. */
export const accountColumns = `
  u.user_id AS userId, u.organization_id AS organizationId, u.user_name AS userName,
  u.access_token_type AS accessTokenType, u.token_epoch AS tokenEpoch,
  u.state = 'active' AND o.state = 'active' AS isActive`;
export const accountTables = 'machine_users u LEFT JOIN organizations o USING (organization_id)';

export type MachineUserAccountRow = Omit<MachineUserAccount, 'isActive'> & {
  /** Null: the organization is not known. */
  readonly isActive: number | null;
};

export function toAccount({ isActive, ...account }: MachineUserAccountRow): MachineUserAccount {
  return { ...account, isActive: isActive === 1 };
}

export function machineUserQueries(db: DatabaseSync) {
  const byId = db.prepare(`SELECT ${machineUserColumns} FROM machine_users u WHERE user_id = ?`);
  byId.setReadBigInts(true);
  const byLoginName = db.prepare(`SELECT ${machineUserColumns} FROM machine_users u WHERE login_name = ?`);
  byLoginName.setReadBigInts(true);
  const accountBySecret = db.prepare(
    `SELECT ${accountColumns}, s.hashed_secret AS hashedSecret
       FROM ${accountTables} JOIN machine_secrets s USING (user_id) WHERE s.secret_id = ?`,
  );
  const secretsOf = db.prepare(
    `SELECT secret_id AS secretId, creation_date AS creationDate, first_used AS firstUsed, last_used AS lastUsed
       FROM machine_secrets WHERE user_id = ? ORDER BY creation_date`,
  );
  const failedChecksOf = db.prepare(
    'SELECT failed_checks AS count, last_failed_check AS last FROM machine_users WHERE user_id = ?',
  );
  const idByLoginName = db.prepare('SELECT user_id AS userId FROM machine_users WHERE login_name = ?');
  const activeUser = db.prepare(
    `SELECT u.organization_id AS organizationId FROM machine_users u JOIN organizations o USING (organization_id)
      WHERE u.user_id = ? AND u.state = 'active' AND o.state = 'active'`,
  );

  return {
    machineUserById(userId: string): MachineUserView | undefined {
      const row = byId.get(userId);
      return row && toMachineUserView(row);
    },

    /** Finds by user name, in any spelling of it. */
    machineUserByLoginName(loginName: string): MachineUserView | undefined {
      const row = byLoginName.get(normalizeUserName(loginName));
      return row && toMachineUserView(row);
    },

    /** The user whose live secret has this id, and the hash of that secret. */
    clientBySecretId(
      secretId: string,
    ): { readonly account: MachineUserAccount; readonly hashedSecret: string } | undefined {
      const row = accountBySecret.get(secretId);
      if (row === undefined) return undefined;
      const { hashedSecret, ...account } = row as unknown as MachineUserAccountRow & {
        readonly hashedSecret: string;
      };
      return { account: toAccount(account), hashedSecret };
    },

    /** The live secrets of a user, oldest first, and how often others were tried. */
    machineSecretsOf(userId: string): MachineSecretsView | undefined {
      const failedChecks = failedChecksOf.get(userId);
      if (failedChecks === undefined) return undefined;
      return {
        secrets: secretsOf.all(userId) as unknown as MachineSecretView[],
        failedChecks: failedChecks as unknown as MachineSecretsView['failedChecks'],
      };
    },

    userIdByLoginName(loginName: string): string | undefined {
      return idByLoginName.get(normalizeUserName(loginName))?.['userId'] as string | undefined;
    },

    /** The organization of a user who may act now; undefined for one who is unknown, inactive or locked, or whose organization is. */
    organizationOfActiveUser(userId: string): string | undefined {
      return activeUser.get(userId)?.['organizationId'] as string | undefined;
    },
  };
}
