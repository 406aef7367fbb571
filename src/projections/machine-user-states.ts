import type { DatabaseSync } from 'node:sqlite';
import type { SecretTimes } from '../domain/machine-user/secrets.ts';
import type { MachineUserView } from './machine-users.ts';
import { secretIsLive } from './time-conditions.ts';

/** Who a machine user is and what it may do, for people who check that. Without hashes. */
export interface MachineUserStanding extends Omit<MachineUserView, 'hasSecret'> {
  /** The secrets that no event has ended, oldest first. Their time may have come: see `isLive`. */
  readonly secrets: readonly (SecretTimes & { readonly secretId: string; readonly creationDate: string })[];
  /** The public keys that it can sign assertions with, oldest first; also expired ones. */
  readonly keys: readonly {
    readonly keyId: string;
    readonly creationDate: string;
    readonly expiresAt: string;
  }[];
  /** `organizationId` is empty for roles in the whole instance. */
  readonly roles: readonly { readonly organizationId: string; readonly roles: readonly string[] }[];
}

/** A live secret, and whether it is used. */
export interface SecretUse {
  readonly userId: string;
  readonly userName: string;
  readonly organizationId: string;
  readonly secretId: string;
  readonly creationDate: string;
  /** RFC 3339, to the hour; null for a secret that was never used. */
  readonly lastUsed: string | null;
  /** The same, of its use after it was replaced. */
  readonly lastLateUse: string | null;
  /** RFC 3339; null for one that was not replaced. */
  readonly retiresAt: string | null;
}

const columns = `
  user_id AS userId, organization_id AS organizationId, user_name AS userName, name, description,
  access_token_type AS accessTokenType, state, sequence, creation_date AS creationDate, change_date AS changeDate,
  (SELECT json_group_array(json_patch(json_object('secretId', s.secret_id, 'creationDate', s.creation_date),
                                      json_object('expiresAt', s.expires_at, 'retiresAt', s.retires_at))
                           ORDER BY s.creation_date, s.secret_id)
     FROM machine_secrets s WHERE s.user_id = u.user_id) AS secrets,
  (SELECT json_group_array(json_object('keyId', k.key_id, 'creationDate', k.creation_date, 'expiresAt', k.expires_at)
                           ORDER BY k.creation_date, k.key_id)
     FROM machine_keys k WHERE k.user_id = u.user_id) AS keys,
  (SELECT json_group_array(json_object('organizationId', m.organization_id, 'roles', json(m.roles))
                           ORDER BY m.organization_id)
     FROM members m WHERE m.user_id = u.user_id) AS roles`;

export function machineUserStateQueries(db: DatabaseSync) {
  const all = db.prepare(`SELECT ${columns} FROM machine_users u ORDER BY user_id`);
  all.setReadBigInts(true);

  const uses = db.prepare(
    `SELECT user_id AS userId, user_name AS userName, organization_id AS organizationId, secret_id AS secretId,
            s.creation_date AS creationDate, last_used AS lastUsed, last_late_use AS lastLateUse, retires_at AS retiresAt
       FROM machine_secrets s JOIN machine_users u USING (user_id) WHERE ${secretIsLive}
      ORDER BY user_name, s.creation_date`,
  );

  return {
    /** Every live secret. Read row by row. */
    secretUses(): Iterable<SecretUse> {
      return uses.iterate() as unknown as Iterable<SecretUse>;
    },

    /** Every machine user, in the order of ids (by their bytes). Read row by row: for as many as there are. */
    *machineUserStandings(): Generator<MachineUserStanding> {
      for (const row of all.iterate()) {
        yield {
          ...(row as unknown as MachineUserStanding),
          secrets: JSON.parse(row['secrets'] as string) as MachineUserStanding['secrets'],
          keys: JSON.parse(row['keys'] as string) as MachineUserStanding['keys'],
          roles: JSON.parse(row['roles'] as string) as MachineUserStanding['roles'],
        };
      }
    },
  };
}
