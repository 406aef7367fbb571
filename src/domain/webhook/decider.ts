import { z } from 'zod';
import type { Decider, Occurred } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

const id = z.string().min(1);
const dateTime = z.iso.datetime({ precision: 3 });

const secret = {
  secretId: id,
  /** The signing secret as a compact JWE (RFC 7516) under the master key. */
  encryptedSecret: z.string().min(1),
};

const targetSchema = z.strictObject({
  url: z.string().min(1),
  /** Names of events. Empty: all. */
  types: z.array(id),
  /** The user that events must be about. Empty: any. */
  userId: z.string(),
  description: z.string(),
});

/** Why a webhook gets no events: someone turned it off, nothing arrived for too long, or the target said that it is gone. */
export const disabledReasons = ['manual', 'failing', 'gone'] as const;
export type DisabledReason = (typeof disabledReasons)[number];

/** What can happen to a webhook. `docs/events.md` is the catalogue for readers. */
export const webhookEventSchemas = {
  WebhookAdded: {
    version: 1,
    data: z.strictObject({
      organizationId: id,
      ...targetSchema.shape,
      ...secret,
      /** Position of the log that it begins after. Absent: after this event. */
      after: z.string().regex(/^\d+$/).exactOptional(),
    }),
  },
  /** Holds the fields that changed, no others. */
  WebhookChanged: { version: 1, data: targetSchema.partial() },
  /** A new secret signs. The one before it signs too, until `previousUntil`. */
  WebhookSecretRotated: { version: 1, data: z.strictObject({ ...secret, previousUntil: dateTime }) },
  /** The same secret under another master key. */
  WebhookSecretReencrypted: { version: 1, data: z.strictObject(secret) },
  WebhookEnabled: { version: 1, data: z.strictObject({}) },
  WebhookDisabled: {
    version: 1,
    data: z.strictObject({
      reason: z.enum(disabledReasons),
      /** Since when nothing arrived. */
      failingSince: dateTime.exactOptional(),
    }),
  },
  WebhookRemoved: { version: 1, data: z.strictObject({}) },
} as const satisfies EventSchemas;

export type WebhookEvent = EventsOf<typeof webhookEventSchemas>;
export type WebhookTarget = z.output<typeof targetSchema>;

export interface ExistingWebhook extends WebhookTarget {
  readonly status: 'enabled' | 'disabled';
  readonly organizationId: string;
  readonly addedAt: string;
}

export type WebhookState = { readonly status: 'absent' } | { readonly status: 'removed' } | ExistingWebhook;

interface WebhookSecret {
  readonly secretId: string;
  readonly encryptedSecret: string;
}

/** Commands name the organization that they act in: a webhook of another one looks unknown. */
export type WebhookCommand = { readonly organizationId: string } & (
  | ({ readonly type: 'AddWebhook'; readonly after?: string } & WebhookTarget & WebhookSecret)
  /** Replaces the whole target. `isEnabled` undefined: stays as it is. */
  | ({ readonly type: 'ChangeWebhook'; readonly isEnabled: boolean | undefined } & WebhookTarget)
  | ({ readonly type: 'RotateWebhookSecret'; readonly previousUntil: string } & WebhookSecret)
  | ({ readonly type: 'ReencryptWebhookSecret' } & WebhookSecret)
  /** By Keyturn itself. Changes nothing when it is disabled already. */
  | {
      readonly type: 'DisableWebhook';
      readonly reason: Exclude<DisabledReason, 'manual'>;
      readonly failingSince?: string;
    }
  | { readonly type: 'RemoveWebhook' }
);

export const webhookDecider: Decider<WebhookCommand, WebhookEvent, WebhookState> = {
  initialState: { status: 'absent' },

  decide(command, state) {
    if (command.type === 'AddWebhook') {
      const { type: _, ...data } = command;
      if (state.status !== 'absent') throw new KeyturnError('WEBHOOK_ALREADY_EXISTS');
      return [{ type: 'WebhookAdded', data }];
    }
    if (!exists(state) || state.organizationId !== command.organizationId) {
      throw new KeyturnError('WEBHOOK_NOT_FOUND');
    }
    switch (command.type) {
      case 'ChangeWebhook':
        return change(command, state);
      case 'RotateWebhookSecret': {
        const { secretId, encryptedSecret, previousUntil } = command;
        return [{ type: 'WebhookSecretRotated', data: { secretId, encryptedSecret, previousUntil } }];
      }
      case 'ReencryptWebhookSecret': {
        const { secretId, encryptedSecret } = command;
        return [{ type: 'WebhookSecretReencrypted', data: { secretId, encryptedSecret } }];
      }
      case 'DisableWebhook': {
        const { reason, failingSince } = command;
        if (state.status === 'disabled') return [];
        return [
          { type: 'WebhookDisabled', data: { reason, ...(failingSince !== undefined && { failingSince }) } },
        ];
      }
      case 'RemoveWebhook':
        return [{ type: 'WebhookRemoved', data: {} }];
    }
  },

  evolve(state: WebhookState, event: Occurred<WebhookEvent>): WebhookState {
    if (event.type === 'WebhookAdded') {
      const { organizationId, url, types, userId, description } = event.data;
      const addedAt = event.occurredAt;
      return { status: 'enabled', organizationId, url, types, userId, description, addedAt };
    }
    if (!exists(state)) return state;
    switch (event.type) {
      case 'WebhookChanged':
        return { ...state, ...(event.data as Partial<WebhookTarget>) };
      case 'WebhookEnabled':
        return { ...state, status: 'enabled' };
      case 'WebhookDisabled':
        return { ...state, status: 'disabled' };
      case 'WebhookRemoved':
        return { status: 'removed' };
      case 'WebhookSecretRotated':
      case 'WebhookSecretReencrypted':
        return state;
    }
  },
};

function exists(state: WebhookState): state is ExistingWebhook {
  return state.status === 'enabled' || state.status === 'disabled';
}

function change(
  { url, types, userId, description, isEnabled }: Extract<WebhookCommand, { type: 'ChangeWebhook' }>,
  webhook: ExistingWebhook,
): WebhookEvent[] {
  const changed = {
    ...(url !== webhook.url && { url }),
    ...(types.join() !== webhook.types.join() && { types }),
    ...(userId !== webhook.userId && { userId }),
    ...(description !== webhook.description && { description }),
  };
  const events: WebhookEvent[] = [];
  if (Object.keys(changed).length > 0) events.push({ type: 'WebhookChanged', data: changed });
  if (isEnabled === true && webhook.status === 'disabled') events.push({ type: 'WebhookEnabled', data: {} });
  if (isEnabled === false && webhook.status === 'enabled') {
    events.push({ type: 'WebhookDisabled', data: { reason: 'manual' } });
  }
  if (events.length === 0) throw new KeyturnError('WEBHOOK_NOT_CHANGED');
  return events;
}
