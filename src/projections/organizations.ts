import type { DatabaseSync } from 'node:sqlite';
import { instanceId } from '../domain/aggregates.ts';
import type { MembershipScope } from '../domain/members.ts';
import { domainLabelOf } from '../domain/organization/domain-label.ts';
import type { Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';

/** The scope of members of the instance, in the place of an organization's id. No organization has an empty id. */
export const instanceScope = '';

/** Organizations, and who has which roles in them and in the instance. */
export const organizationsProjection: Projection = {
  tables: `
    CREATE TABLE organizations (
      organization_id TEXT PRIMARY KEY,
      name            TEXT NOT NULL,
      domain_label    TEXT NOT NULL,
      state           TEXT NOT NULL,
      sequence        INTEGER NOT NULL,
      creation_date   TEXT NOT NULL,
      change_date     TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX organizations_by_domain ON organizations (domain_label, creation_date);

    CREATE TABLE members (
      user_id         TEXT NOT NULL,
      organization_id TEXT NOT NULL, -- empty: the instance
      roles           TEXT NOT NULL, -- a JSON array
      sequence        INTEGER NOT NULL, -- of the organization or the instance
      creation_date   TEXT NOT NULL,
      change_date     TEXT NOT NULL,
      PRIMARY KEY (user_id, organization_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX members_by_organization ON members (organization_id);
  `,

  handlers(db) {
    const insertOrganization = db.prepare(
      `INSERT INTO organizations VALUES (:organizationId, :name, :domainLabel, 'active', :sequence, :date, :date)`,
    );
    const touch = db.prepare(
      'UPDATE organizations SET sequence = :sequence, change_date = :date WHERE organization_id = :organizationId',
    );
    const setState = db.prepare('UPDATE organizations SET state = ? WHERE organization_id = ?');
    const setMember = db.prepare(
      `INSERT INTO members VALUES (:userId, :organizationId, :roles, :sequence, :date, :date)
         ON CONFLICT DO UPDATE SET roles = :roles, sequence = :sequence, change_date = :date`,
    );
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
    const withState = (state: OrganizationView['state']) => (event: Event) => {
      setState.run(state, event.aggregateId);
      touched(event);
    };
    const saveMember = (event: MemberEvent, organizationId: string) => {
      const { data, streamVersion: sequence, occurredAt: date } = event;
      const roles = JSON.stringify(data.roles);
      setMember.run({ userId: data.userId, organizationId, roles, sequence, date });
    };
    const setMemberOfInstance = (event: MemberEvent) => saveMember(event, instanceScope);
    const setMemberOfOrganization = (event: MemberEvent) => {
      saveMember(event, event.aggregateId);
      touched(event);
    };

    return {
      OrganizationAdded({ aggregateId, data, streamVersion, occurredAt }) {
        insertOrganization.run({
          organizationId: aggregateId,
          name: data.name,
          domainLabel: domainLabelOf(data.name),
          sequence: streamVersion,
          date: occurredAt,
        });
      },
      OrganizationDeactivated: withState('inactive'),
      OrganizationReactivated: withState('active'),
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

export interface OrganizationView {
  readonly organizationId: string;
  readonly name: string;
  /** The first label of its domain: what stands before the domain of the instance. */
  readonly domainLabel: string;
  readonly state: 'active' | 'inactive';
  readonly sequence: bigint;
  readonly creationDate: string;
  readonly changeDate: string;
}

/** What a query selects from `organizations u` for {@link OrganizationView}. */
export const organizationColumns = `
  u.organization_id AS organizationId, u.name, u.domain_label AS domainLabel, u.state, u.sequence,
  u.creation_date AS creationDate, u.change_date AS changeDate`;

/** Of who called the API, and in which organizations, less than 1 kB each. */
const rememberedMembers = 1000;

export function organizationQueries(db: DatabaseSync, recentAnswers: RecentAnswers) {
  const exists = db.prepare('SELECT 1 FROM organizations WHERE organization_id = ?');
  const byId = db.prepare(`SELECT ${organizationColumns} FROM organizations u WHERE organization_id = ?`);
  byId.setReadBigInts(true);
  const byDomainLabel = db.prepare(
    `SELECT ${organizationColumns} FROM organizations u WHERE domain_label = ? ORDER BY creation_date LIMIT 1`,
  );
  byDomainLabel.setReadBigInts(true);
  const byName = db.prepare('SELECT 1 FROM organizations WHERE domain_label = ? AND name = ?');
  const roles = db.prepare('SELECT roles FROM members WHERE user_id = ? AND organization_id IN (?, ?)');
  const memberships = db.prepare(
    'SELECT organization_id AS organizationId, roles FROM members WHERE user_id = ?',
  );

  const existing = recentAnswers.remember(
    (organizationId) => exists.get(organizationId) && { organizationId },
    ({ organizationId }) => [organizationId],
    rememberedMembers,
  );
  const rolesWithin = recentAnswers.remember(
    (key) => {
      const [userId, organizationId] = JSON.parse(key) as [string, string];
      const rows = roles.all(userId, organizationId, instanceScope);
      return { organizationId, roles: rows.flatMap((row) => JSON.parse(row['roles'] as string) as string[]) };
    },
    ({ organizationId }) => [organizationId, instanceId],
    rememberedMembers,
  );
  const rolesOf = (userId: string, scope: string) =>
    rolesWithin(JSON.stringify([userId, scope]))?.roles ?? [];
  const asView = (row: unknown) => row as OrganizationView | undefined;

  return {
    organizationExists(organizationId: string): boolean {
      return existing(organizationId) !== undefined;
    },

    organizationById(organizationId: string): OrganizationView | undefined {
      return asView(byId.get(organizationId));
    },

    /** The oldest with this label. */
    organizationByDomainLabel(label: string): OrganizationView | undefined {
      return asView(byDomainLabel.get(label));
    },

    isOrganizationNameTaken(name: string): boolean {
      return byName.get(domainLabelOf(name), name.trim()) !== undefined;
    },

    organizationName(organizationId: string): string | undefined {
      return asView(byId.get(organizationId))?.name;
    },

    /** The roles of a user in an organization, with those that it has in the whole instance. */
    rolesOf(userId: string, organizationId: string): readonly string[] {
      return rolesOf(userId, organizationId);
    },

    rolesInInstance(userId: string): readonly string[] {
      return rolesOf(userId, instanceScope);
    },

    /** Where a user has which roles. */
    membershipsOf(userId: string): { readonly scope: MembershipScope; readonly roles: readonly string[] }[] {
      return memberships.all(userId).map((row) => {
        const organizationId = row['organizationId'] as string;
        return {
          scope: organizationId === instanceScope ? 'instance' : { organizationId },
          roles: JSON.parse(row['roles'] as string) as string[],
        };
      });
    },
  };
}
