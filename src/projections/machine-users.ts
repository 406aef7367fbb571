import type { DatabaseSync } from 'node:sqlite';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { normalizeUserName } from '../domain/user-name/normalize.ts';
import type { Projected, Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';
import { foldCase } from './text-condition.ts';
import { secretIsLive } from './time-conditions.ts';

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

/** Whose row is not written yet. */
interface AddedUser {
  readonly event: Projected<Extract<KeyturnEvent, { readonly type: 'MachineUserAdded' }>>;
  sequence: bigint;
  changeDate: string;
}

interface Touch {
  readonly userId: string;
  sequence: bigint;
  changeDate: string;
}

export const machineUsersProjection: Projection = {
  tables: `
    CREATE TABLE machine_users (
      user_id           TEXT PRIMARY KEY,
      organization_id   TEXT NOT NULL,
      user_name         TEXT NOT NULL,
      login_name        TEXT NOT NULL, -- the user name, normalized
      name              TEXT NOT NULL,
      folded_name       TEXT NOT NULL, -- the name, as it is compared where case does not matter
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

    CREATE TABLE erased_users (
      user_id   TEXT PRIMARY KEY,
      erased_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,

  indexes: `
    -- Not unique: users who are erased share a name, until their removal is projected too.
    CREATE INDEX IF NOT EXISTS machine_users_by_login_name ON machine_users (login_name);
    CREATE INDEX IF NOT EXISTS machine_users_by_user_name ON machine_users (organization_id, user_name);
    CREATE INDEX IF NOT EXISTS machine_users_by_folded_name ON machine_users (organization_id, login_name);
    CREATE INDEX IF NOT EXISTS machine_users_by_creation_date ON machine_users (organization_id, creation_date);
  `,

  handlers(db, putOff) {
    const insertUser = db.prepare(
      `INSERT INTO machine_users VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'active', 0, ?, ?, ?, 0, NULL)`,
    );
    const touch = db.prepare('UPDATE machine_users SET sequence = ?, change_date = ? WHERE user_id = ?');
    const setState = db.prepare('UPDATE machine_users SET state = ? WHERE user_id = ?');
    const setUserName = db.prepare(
      'UPDATE machine_users SET user_name = ?, login_name = ? WHERE user_id = ?',
    );
    const setProfile = db.prepare(
      `UPDATE machine_users SET name = coalesce(?, name), folded_name = coalesce(?, folded_name), description = coalesce(?, description),
        access_token_type = coalesce(?, access_token_type) WHERE user_id = ?`,
    );
    const endTokens = db.prepare('UPDATE machine_users SET token_epoch = ? WHERE user_id = ?');
    const deleteUser = db.prepare('DELETE FROM machine_users WHERE user_id = ?');
    const insertErased = db.prepare('INSERT INTO erased_users VALUES (?, ?)');
    const addFailedChecks = db.prepare(
      `UPDATE machine_users SET failed_checks = failed_checks + ?, last_failed_check = ? WHERE user_id = ?`,
    );

    const added = putOff<AddedUser>(({ event, sequence, changeDate }) => {
      const { organizationId, userName, name, description, accessTokenType } = event.data;
      insertUser.run(
        event.aggregateId,
        organizationId,
        userName,
        normalizeUserName(userName),
        name,
        foldCase(name),
        description,
        accessTokenType,
        sequence,
        event.occurredAt,
        changeDate,
      );
    });
    const touches = putOff<Touch>(({ userId, sequence, changeDate }) =>
      touch.run(sequence, changeDate, userId),
    );

    const touched = ({ aggregateId: userId, streamVersion, occurredAt }: Projected<KeyturnEvent>) => {
      const pending = added.get(userId) ?? touches.get(userId);
      if (pending === undefined) {
        touches.set(userId, { userId, sequence: streamVersion, changeDate: occurredAt });
      } else {
        pending.sequence = streamVersion;
        pending.changeDate = occurredAt;
      }
    };
    const tokensEnded = (event: Projected<KeyturnEvent>) => {
      added.writeOne(event.aggregateId);
      endTokens.run(event.streamVersion, event.aggregateId);
      touched(event);
    };
    /** Tokens stay ended when the user is let in again. */
    const shutOut = (state: MachineUserView['state']) => (event: Projected<KeyturnEvent>) => {
      added.writeOne(event.aggregateId);
      setState.run(state, event.aggregateId);
      tokensEnded(event);
    };
    const withState = (state: MachineUserView['state']) => (event: Projected<KeyturnEvent>) => {
      added.writeOne(event.aggregateId);
      setState.run(state, event.aggregateId);
      touched(event);
    };

    return {
      MachineUserAdded(event) {
        added.set(event.aggregateId, {
          event,
          sequence: event.streamVersion,
          changeDate: event.occurredAt,
        });
      },
      MachineUserChanged(event) {
        const { name = null, description = null, accessTokenType = null } = event.data;
        const foldedName = name === null ? null : foldCase(name);
        added.writeOne(event.aggregateId);
        setProfile.run(name, foldedName, description, accessTokenType, event.aggregateId);
        touched(event);
      },
      MachineUserNameChanged(event) {
        const { userName } = event.data;
        added.writeOne(event.aggregateId);
        setUserName.run(userName, normalizeUserName(userName), event.aggregateId);
        touched(event);
      },
      MachineUserNameClaimLapsed: touched,
      MachineSecretSet: touched,
      MachineSecretRehashed: touched,
      MachineSecretRemoved: touched,
      MachineSecretExpiryChanged: touched,
      MachineSecretRetirementCancelled: touched,
      MachineSecretExpiring: touched,
      MachineSecretExpired: touched,
      MachineSecretRetired: touched,
      MachineSecretLeaked: touched,
      // Of another stream: the user's sequence and change date stay.
      MachineSecretCheckFailed({ aggregateId, data, occurredAt }) {
        added.writeOne(aggregateId);
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
        touches.forget(event.aggregateId);
        if (!added.forget(event.aggregateId)) deleteUser.run(event.aggregateId);
      },
      MachineUserErased({ aggregateId, occurredAt }) {
        insertErased.run(aggregateId, occurredAt);
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
  EXISTS (SELECT 1 FROM machine_secrets s WHERE s.user_id = u.user_id AND ${secretIsLive}) AS hasSecret,
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

/** Of users who called the API, less than 1 kB each. */
const rememberedCallers = 1000;

export function machineUserQueries(db: DatabaseSync, recentAnswers: RecentAnswers) {
  const byId = db.prepare(`SELECT ${machineUserColumns} FROM machine_users u WHERE user_id = ?`);
  byId.setReadBigInts(true);
  const byLoginName = db.prepare(`SELECT ${machineUserColumns} FROM machine_users u WHERE login_name = ?`);
  byLoginName.setReadBigInts(true);
  const idByLoginName = db.prepare('SELECT user_id AS userId FROM machine_users WHERE login_name = ?');
  const nameAndOwner = db.prepare(
    'SELECT user_name AS userName, organization_id AS organizationId FROM machine_users WHERE user_id = ?',
  );
  const erased = db.prepare('SELECT user_id AS userId, erased_at AS erasedAt FROM erased_users');
  const activeUser = db.prepare(
    `SELECT u.organization_id AS organizationId FROM machine_users u JOIN organizations o USING (organization_id)
      WHERE u.user_id = ? AND u.state = 'active' AND o.state = 'active'`,
  );
  const organizationOfActive = recentAnswers.remember(
    (userId) => {
      const organizationId = activeUser.get(userId)?.['organizationId'] as string | undefined;
      return organizationId === undefined ? undefined : { userId, organizationId };
    },
    ({ userId, organizationId }) => [userId, organizationId],
    rememberedCallers,
  );

  return {
    machineUserById(userId: string): MachineUserView | undefined {
      const row = byId.get(userId);
      return row && toMachineUserView(row);
    },

    /** Less than all of its view, in half of the time. */
    machineUserNameById(
      userId: string,
    ): { readonly userName: string; readonly organizationId: string } | undefined {
      return nameAndOwner.get(userId) as { userName: string; organizationId: string } | undefined;
    },

    /** Finds by user name, in any spelling of it. */
    machineUserByLoginName(loginName: string): MachineUserView | undefined {
      const row = byLoginName.get(normalizeUserName(loginName));
      return row && toMachineUserView(row);
    },

    userIdByLoginName(loginName: string): string | undefined {
      return idByLoginName.get(normalizeUserName(loginName))?.['userId'] as string | undefined;
    },

    /** The users whose personal fields are erased, and since when. */
    erasedUsers(): { readonly userId: string; readonly erasedAt: string }[] {
      return erased.all() as unknown as { userId: string; erasedAt: string }[];
    },

    /** The organization of a user who may act now; undefined for one who is unknown, inactive or locked, or whose organization is. */
    organizationOfActiveUser(userId: string): string | undefined {
      return organizationOfActive(userId)?.organizationId;
    },
  };
}
