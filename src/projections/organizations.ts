import type { DatabaseSync } from 'node:sqlite';
import type { Projection } from './projection.ts';

/** The scope of members of the instance, in the place of an organization's id. No organization has an empty id. */
const instanceScope = '';

/** Organizations, and who has which roles in them and in the instance. */
export const organizationsProjection: Projection = {
  tables: `
    CREATE TABLE organizations (
      organization_id TEXT PRIMARY KEY,
      name            TEXT NOT NULL,
      sequence        INTEGER NOT NULL,
      creation_date   TEXT NOT NULL,
      change_date     TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE members (
      user_id         TEXT NOT NULL,
      organization_id TEXT NOT NULL, -- empty: the instance
      roles           TEXT NOT NULL, -- a JSON array
      PRIMARY KEY (user_id, organization_id)
    ) STRICT, WITHOUT ROWID;
  `,

  handlers(db) {
    const insertOrganization = db.prepare(
      'INSERT INTO organizations VALUES (:organizationId, :name, :sequence, :date, :date)',
    );
    const touch = db.prepare(
      'UPDATE organizations SET sequence = :sequence, change_date = :date WHERE organization_id = :organizationId',
    );
    const setMember = db.prepare('INSERT OR REPLACE INTO members VALUES (?, ?, ?)');
    const deleteMember = db.prepare('DELETE FROM members WHERE user_id = ? AND organization_id = ?');

    type Event = {
      readonly aggregateId: string;
      readonly streamVersion: bigint;
      readonly occurredAt: string;
    };
    type MemberEvent = Event & {
      readonly data: { readonly userId: string; readonly roles: readonly string[] };
    };

    const touched = ({ aggregateId, streamVersion, occurredAt }: Event) =>
      touch.run({ organizationId: aggregateId, sequence: streamVersion, date: occurredAt });
    const setMemberOfInstance = ({ data }: MemberEvent) => {
      setMember.run(data.userId, instanceScope, JSON.stringify(data.roles));
    };
    const setMemberOfOrganization = (event: MemberEvent) => {
      setMember.run(event.data.userId, event.aggregateId, JSON.stringify(event.data.roles));
      touched(event);
    };

    return {
      OrganizationAdded({ aggregateId, data, streamVersion, occurredAt }) {
        insertOrganization.run({
          organizationId: aggregateId,
          name: data.name,
          sequence: streamVersion,
          date: occurredAt,
        });
      },
      OrganizationMemberAdded: setMemberOfOrganization,
      OrganizationMemberChanged: setMemberOfOrganization,
      OrganizationMemberRemoved(event) {
        deleteMember.run(event.data.userId, event.aggregateId);
        touched(event);
      },
      InstanceMemberAdded: setMemberOfInstance,
      InstanceMemberChanged: setMemberOfInstance,
      InstanceMemberRemoved({ data }) {
        deleteMember.run(data.userId, instanceScope);
      },
    };
  },
};

export function organizationQueries(db: DatabaseSync) {
  const byId = db.prepare('SELECT name FROM organizations WHERE organization_id = ?');
  const roles = db.prepare('SELECT roles FROM members WHERE user_id = ? AND organization_id IN (?, ?)');

  return {
    organizationExists(organizationId: string): boolean {
      return byId.get(organizationId) !== undefined;
    },

    organizationName(organizationId: string): string | undefined {
      return byId.get(organizationId)?.['name'] as string | undefined;
    },

    /** The roles of a user in an organization, with those that it has in the whole instance. */
    rolesOf(userId: string, organizationId: string): string[] {
      return roles
        .all(userId, organizationId, instanceScope)
        .flatMap((row) => JSON.parse(row['roles'] as string) as string[]);
    },
  };
}
