import { z } from 'zod';
import { eventCatalogue, type KeyturnEvent } from '../domain/event-catalogue.ts';

const id = z.string().min(1);
const aboutUser = { userId: id };
const aboutWebhook = { webhookId: id };
const {
  MachineUserAdded,
  MachineUserChanged,
  MachineUserNameChanged,
  MachineUserNameClaimLapsed,
  MachineSecretSet,
  MachineSecretRehashed,
  MachineSecretRemoved,
  MachineSecretExpiryChanged,
  MachineSecretRetirementCancelled,
  MachineSecretExpiring,
  MachineSecretExpired,
  MachineSecretRetired,
  MachineSecretLeaked,
  MachineSecretUsed,
  MachineSecretCheckFailed,
  MachineSecretUsedAfterReplacement,
  SecretPolicySet,
  SecretPolicyReset,
  MachineKeyAdded,
  MachineKeyRemoved,
  OrganizationAdded,
  OrganizationMemberAdded,
  OrganizationMemberChanged,
  OrganizationMemberRemoved,
  InstanceSetUpStarted,
  InstanceSetUp,
  InstanceMemberAdded,
  InstanceMemberChanged,
  InstanceMemberRemoved,
  SigningKeyAdded,
  SigningKeyReencrypted,
  SigningKeyRevoked,
  AccessTokenRevoked,
  ClientAssertionUsed,
  UserNameClaimed,
  UserNameReleased,
  WebhookAdded,
  WebhookChanged,
  WebhookSecretRotated,
  WebhookDisabled,
} = eventCatalogue;

/**
 * What subscribers are shown of each event: the fields named here and no others, so that a field that is added to an
 * event stays inside until someone decides otherwise. Null: bookkeeping of Keyturn's own, of no use outside.
 *
 * Never here: hashes, secrets, keys, JWEs, URLs of webhooks (many hold a secret).
 */
export const publishedEvents = {
  MachineUserAdded: MachineUserAdded.data
    .pick({ userName: true, name: true, description: true, accessTokenType: true })
    .extend(aboutUser),
  MachineUserChanged: MachineUserChanged.data
    .pick({ name: true, description: true, accessTokenType: true })
    .extend(aboutUser),
  MachineUserNameChanged: MachineUserNameChanged.data.pick({ userName: true }).extend(aboutUser),
  MachineUserNameClaimLapsed: MachineUserNameClaimLapsed.data.pick({ userName: true }).extend(aboutUser),
  MachineSecretSet: MachineSecretSet.data
    .pick({ secretId: true, replacedSecretIds: true, retirements: true, expiresAt: true })
    .extend(aboutUser),
  MachineSecretRehashed: MachineSecretRehashed.data.pick({ secretId: true }).extend(aboutUser),
  MachineSecretRemoved: MachineSecretRemoved.data.pick({ secretIds: true }).extend(aboutUser),
  MachineSecretExpiryChanged: MachineSecretExpiryChanged.data
    .pick({ secretId: true, expiresAt: true })
    .extend(aboutUser),
  MachineSecretRetirementCancelled: MachineSecretRetirementCancelled.data
    .pick({ secretId: true })
    .extend(aboutUser),
  MachineSecretExpiring: MachineSecretExpiring.data
    .pick({ secretId: true, expiresAt: true, daysBefore: true })
    .extend(aboutUser),
  MachineSecretExpired: MachineSecretExpired.data.pick({ secretId: true, expiredAt: true }).extend(aboutUser),
  MachineSecretRetired: MachineSecretRetired.data.pick({ secretId: true, retiredAt: true }).extend(aboutUser),
  // Not where: the URL may hold the secret.
  MachineSecretLeaked: MachineSecretLeaked.data.pick({ secretId: true, source: true }).extend(aboutUser),
  MachineSecretUsed: MachineSecretUsed.data.pick({ secretId: true, uses: true }).extend(aboutUser),
  MachineSecretCheckFailed: MachineSecretCheckFailed.data.pick({ count: true }).extend(aboutUser),
  MachineSecretUsedAfterReplacement: MachineSecretUsedAfterReplacement.data
    .pick({ secretId: true })
    .extend(aboutUser),
  MachineKeyAdded: MachineKeyAdded.data.pick({ keyId: true, expiresAt: true }).extend(aboutUser),
  MachineKeyRemoved: MachineKeyRemoved.data.pick({ keyId: true }).extend(aboutUser),
  MachineTokensEnded: z.strictObject(aboutUser),
  MachineUserDeactivated: z.strictObject(aboutUser),
  MachineUserReactivated: z.strictObject(aboutUser),
  MachineUserLocked: z.strictObject(aboutUser),
  MachineUserUnlocked: z.strictObject(aboutUser),
  MachineUserRemoved: z.strictObject(aboutUser),
  MachineUserErased: z.strictObject(aboutUser),

  OrganizationAdded: OrganizationAdded.data.pick({ name: true }),
  OrganizationDeactivated: z.strictObject({}),
  OrganizationReactivated: z.strictObject({}),
  OrganizationMemberAdded: OrganizationMemberAdded.data.pick({ userId: true, roles: true }),
  OrganizationMemberChanged: OrganizationMemberChanged.data.pick({ userId: true, roles: true }),
  OrganizationMemberRemoved: OrganizationMemberRemoved.data.pick({ userId: true }),

  InstanceSetUpStarted: InstanceSetUpStarted.data.pick({
    projectId: true,
    organizationId: true,
    adminUserId: true,
  }),
  InstanceSetUp: InstanceSetUp.data.pick({}),
  InstanceMemberAdded: InstanceMemberAdded.data.pick({ userId: true, roles: true }),
  InstanceMemberChanged: InstanceMemberChanged.data.pick({ userId: true, roles: true }),
  InstanceMemberRemoved: InstanceMemberRemoved.data.pick({ userId: true }),
  SigningKeyAdded: SigningKeyAdded.data.pick({ keyId: true, algorithm: true }),
  SigningKeyReencrypted: SigningKeyReencrypted.data.pick({ keyId: true }),
  SigningKeyRevoked: SigningKeyRevoked.data.pick({ keyId: true }),

  AccessTokenRevoked: AccessTokenRevoked.data.pick({ userId: true, expiresAt: true }),
  ClientAssertionUsed: ClientAssertionUsed.data.pick({ userId: true, keyId: true }),

  SecretPolicySet: SecretPolicySet.data.pick({
    level: true,
    organizationId: true,
    userId: true,
    settings: true,
  }),
  SecretPolicyReset: SecretPolicyReset.data.pick({ level: true, organizationId: true, userId: true }),

  UserNameClaimed: UserNameClaimed.data.pick({ userId: true }).extend({ userName: id }),
  UserNameReleased: UserNameReleased.data.pick({ userId: true }).extend({ userName: id }),

  WebhookAdded: WebhookAdded.data.pick({ types: true, description: true }).extend(aboutWebhook),
  WebhookChanged: WebhookChanged.data.pick({ types: true, description: true }).extend(aboutWebhook),
  WebhookSecretRotated: WebhookSecretRotated.data.pick({ previousUntil: true }).extend(aboutWebhook),
  WebhookEnabled: z.strictObject(aboutWebhook),
  WebhookDisabled: WebhookDisabled.data.pick({ reason: true, failingSince: true }).extend(aboutWebhook),
  WebhookRemoved: z.strictObject(aboutWebhook),

  SubscriptionClaimed: null,
  SubscriptionAdvanced: null,
  EventParked: null,
  ParkedEventReplayed: null,
  NodeSeen: null,
  NodeLeft: null,
  CheckpointKeyAdded: null,
  CheckpointKeyReencrypted: null,
  WebhookSecretReencrypted: null,
} as const satisfies Record<KeyturnEvent['type'], z.ZodObject | null>;

type PublishedEvents = typeof publishedEvents;

/** The name of an event that subscribers can be told of, as in `docs/events.md`. */
export type PublishedEventType = {
  [Type in keyof PublishedEvents]: PublishedEvents[Type] extends null ? never : Type;
}[keyof PublishedEvents];

export type PublishedData<Type extends PublishedEventType> =
  PublishedEvents[Type] extends z.ZodType<infer Data> ? Data : never;

export const publishedEventTypes = Object.entries(publishedEvents).flatMap(([type, schema]) =>
  schema === null ? [] : [type as PublishedEventType],
);

const published: ReadonlySet<string> = new Set(publishedEventTypes);
const bookkeeping: ReadonlySet<string> = new Set(
  Object.keys(publishedEvents).filter((type) => !published.has(type)),
);

export function isPublishedEventType(type: string): type is PublishedEventType {
  return published.has(type);
}

/** Known, and not published. */
export function isBookkeeping(type: string): boolean {
  return bookkeeping.has(type);
}

/** The names of the fields that are published of each type. */
const publishedFields = new Map(
  Object.entries(publishedEvents).map(([type, schema]) => [type, Object.keys(schema?.shape ?? {})]),
);

/** The name of the field that the id of an aggregate is published as; streams of one aggregate only need none. */
const idFields: ReadonlyMap<string, string> = new Map([
  ['machineUser', 'userId'],
  ['machineSecretUse', 'userId'],
  ['userName', 'userName'],
  ['webhook', 'webhookId'],
]);

/** In the order in which they are written. */
export function publishedFieldsOf(type: string): readonly string[] {
  return publishedFields.get(type) ?? [];
}

/** Undefined where the id of an aggregate is not published. */
export function idFieldOf(category: string): string | undefined {
  return idFields.get(category);
}

/** What subscribers are shown of the event's data: nothing of an event that is not published. */
export function publishedDataOf(
  event: KeyturnEvent,
  category: string,
  aggregateId: string,
): Readonly<Record<string, unknown>> {
  const idField = idFieldOf(category);
  const published: Record<string, unknown> = {};
  for (const field of publishedFieldsOf(event.type)) {
    const value = field === idField ? aggregateId : (event.data as Record<string, unknown>)[field];
    if (value !== undefined) published[field] = value;
  }
  return published;
}
