import type { DatabaseSync } from 'node:sqlite';
import type { KeyturnEvent } from '../domain/event-catalogue.ts';
import type { DisabledReason, WebhookTarget } from '../domain/webhook/decider.ts';
import type { Projected, Projection } from './projection.ts';

export interface WebhookView extends WebhookTarget {
  readonly webhookId: string;
  readonly organizationId: string;
  readonly isEnabled: boolean;
  /** Undefined while it is enabled. */
  readonly disabledReason: DisabledReason | undefined;
  readonly sequence: bigint;
  readonly creationDate: string;
  readonly changeDate: string;
}

/** A signing secret as it is stored: not for answers. */
export interface WebhookSecretView {
  readonly secretId: string;
  /** A compact JWE. */
  readonly encryptedSecret: string;
  /** RFC 3339: until when it signs. Undefined for the newest one. */
  readonly until: string | undefined;
}

export const webhooksProjection: Projection = {
  tables: `
    CREATE TABLE webhooks (
      webhook_id      TEXT PRIMARY KEY,
      organization_id TEXT NOT NULL,
      url             TEXT NOT NULL,
      types           TEXT NOT NULL, -- a JSON array
      user_id         TEXT NOT NULL,
      description     TEXT NOT NULL,
      disabled_reason TEXT,
      sequence        INTEGER NOT NULL,
      creation_date   TEXT NOT NULL,
      change_date     TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX webhooks_by_organization ON webhooks (organization_id);

    CREATE TABLE webhook_secrets (
      webhook_id       TEXT NOT NULL,
      secret_id        TEXT NOT NULL,
      encrypted_secret TEXT NOT NULL, -- a compact JWE
      valid_until      TEXT, -- null for the newest one
      PRIMARY KEY (webhook_id, secret_id)
    ) STRICT, WITHOUT ROWID;
  `,

  handlers(db) {
    const insert = db.prepare(
      `INSERT INTO webhooks VALUES (:webhookId, :organizationId, :url, :types, :userId, :description, NULL,
        :sequence, :date, :date)`,
    );
    const change = db.prepare(
      `UPDATE webhooks SET url = coalesce(?, url), types = coalesce(?, types), user_id = coalesce(?, user_id),
        description = coalesce(?, description) WHERE webhook_id = ?`,
    );
    const touch = db.prepare('UPDATE webhooks SET sequence = ?, change_date = ? WHERE webhook_id = ?');
    const setDisabledReason = db.prepare('UPDATE webhooks SET disabled_reason = ? WHERE webhook_id = ?');
    const deleteWebhook = db.prepare('DELETE FROM webhooks WHERE webhook_id = ?');
    const insertSecret = db.prepare('INSERT INTO webhook_secrets VALUES (?, ?, ?, NULL)');
    const replaceSecret = db.prepare(
      'UPDATE webhook_secrets SET encrypted_secret = ? WHERE webhook_id = ? AND secret_id = ?',
    );
    const endSecret = db.prepare(
      'UPDATE webhook_secrets SET valid_until = ? WHERE webhook_id = ? AND valid_until IS NULL',
    );
    const deleteEnded = db.prepare(
      'DELETE FROM webhook_secrets WHERE webhook_id = ? AND valid_until IS NOT NULL',
    );
    const deleteSecrets = db.prepare('DELETE FROM webhook_secrets WHERE webhook_id = ?');

    const touched = ({ streamVersion, occurredAt, aggregateId }: Projected<KeyturnEvent>) =>
      touch.run(streamVersion, occurredAt, aggregateId);

    return {
      WebhookAdded({ aggregateId, data, streamVersion, occurredAt }) {
        const { organizationId, url, types, userId, description, secretId, encryptedSecret } = data;
        insert.run({
          webhookId: aggregateId,
          organizationId,
          url,
          types: JSON.stringify(types),
          userId,
          description,
          sequence: streamVersion,
          date: occurredAt,
        });
        insertSecret.run(aggregateId, secretId, encryptedSecret);
      },
      WebhookChanged(event) {
        const { url = null, types, userId = null, description = null } = event.data;
        change.run(url, types ? JSON.stringify(types) : null, userId, description, event.aggregateId);
        touched(event);
      },
      WebhookSecretRotated(event) {
        const { secretId, encryptedSecret, previousUntil } = event.data;
        // Two at most: the one before the previous one ends here, whatever it was promised.
        deleteEnded.run(event.aggregateId);
        endSecret.run(previousUntil, event.aggregateId);
        insertSecret.run(event.aggregateId, secretId, encryptedSecret);
        touched(event);
      },
      WebhookSecretReencrypted(event) {
        const { secretId, encryptedSecret } = event.data;
        replaceSecret.run(encryptedSecret, event.aggregateId, secretId);
        touched(event);
      },
      WebhookEnabled(event) {
        setDisabledReason.run(null, event.aggregateId);
        touched(event);
      },
      WebhookDisabled(event) {
        setDisabledReason.run(event.data.reason, event.aggregateId);
        touched(event);
      },
      WebhookRemoved({ aggregateId }) {
        deleteSecrets.run(aggregateId);
        deleteWebhook.run(aggregateId);
      },
    };
  },
};

const columns = `webhook_id AS webhookId, organization_id AS organizationId, url, types, user_id AS userId, description,
  disabled_reason AS disabledReason, sequence, creation_date AS creationDate, change_date AS changeDate`;

export function webhookQueries(db: DatabaseSync) {
  const byId = db.prepare(`SELECT ${columns} FROM webhooks WHERE webhook_id = ?`);
  const byOrganization = db.prepare(
    `SELECT ${columns} FROM webhooks WHERE organization_id = ? ORDER BY creation_date, webhook_id`,
  );
  const all = db.prepare(`SELECT ${columns} FROM webhooks`);
  for (const statement of [byId, byOrganization, all]) statement.setReadBigInts(true);
  const secrets = db.prepare(
    `SELECT secret_id AS secretId, encrypted_secret AS encryptedSecret, valid_until AS until
       FROM webhook_secrets WHERE webhook_id = ? ORDER BY valid_until IS NOT NULL`,
  );

  return {
    webhookById(webhookId: string): WebhookView | undefined {
      const row = byId.get(webhookId);
      return row && viewOf(row);
    },

    /** Oldest first. */
    webhooksOf(organizationId: string): WebhookView[] {
      return byOrganization.all(organizationId).map(viewOf);
    },

    webhooks(): WebhookView[] {
      return all.all().map(viewOf);
    },

    /** Newest first; two at most. */
    webhookSecrets(webhookId: string): WebhookSecretView[] {
      return secrets
        .all(webhookId)
        .map((row) => ({ ...row, until: row['until'] ?? undefined })) as unknown as WebhookSecretView[];
    },
  };
}

function viewOf(row: Readonly<Record<string, unknown>>): WebhookView {
  const disabledReason = (row['disabledReason'] ?? undefined) as DisabledReason | undefined;
  return {
    ...row,
    types: JSON.parse(String(row['types'])) as string[],
    disabledReason,
    isEnabled: disabledReason === undefined,
  } as WebhookView;
}
