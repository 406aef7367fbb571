import { z } from 'zod';
import { type EventSchemas, type EventsOf, unchanged } from '../event-schema.ts';

/** `bearer`: opaque access tokens, `jwt`: self-contained ones (zitadel.user.v1.AccessTokenType). */
export const accessTokenTypes = ['bearer', 'jwt'] as const;
export type AccessTokenType = (typeof accessTokenTypes)[number];

const id = z.string().min(1);
const accessTokenType = z.enum(accessTokenTypes);
const dateTime = z.iso.datetime({ precision: 3 });
const nothing = z.strictObject({});
/** Of events that version 1 held in the clear, and version 2 holds sealed: what a reader sees is the same. */
const sealedSinceVersion2 = { 1: unchanged };

/** What can happen to a machine user. `docs/events.md` is the catalogue for readers. */
export const machineUserEventSchemas = {
  MachineUserAdded: {
    version: 2,
    personal: ['userName', 'name', 'description'],
    data: z.strictObject({
      organizationId: id,
      userName: z.string().min(1),
      name: z.string().min(1),
      description: z.string(),
      accessTokenType,
    }),
    upcasts: sealedSinceVersion2,
  },
  /** Holds the fields that changed, no others. */
  MachineUserChanged: {
    version: 2,
    personal: ['name', 'description'],
    data: z.strictObject({
      name: z.string().min(1).exactOptional(),
      description: z.string().exactOptional(),
      accessTokenType: accessTokenType.exactOptional(),
    }),
    upcasts: sealedSinceVersion2,
  },
  MachineUserNameChanged: {
    version: 2,
    personal: ['userName'],
    data: z.strictObject({ userName: z.string().min(1) }),
    upcasts: sealedSinceVersion2,
  },
  /** The user's claim on a user name that it did not use was taken over by another user. */
  MachineUserNameClaimLapsed: {
    version: 2,
    personal: ['userName'],
    data: z.strictObject({ userName: z.string().min(1) }),
    upcasts: sealedSinceVersion2,
  },
  /** A new secret is live. Version 1 had none of the optional fields: a new secret ended all others at once. */
  MachineSecretSet: {
    version: 2,
    data: z.strictObject({
      secretId: id,
      hashedSecret: z.string().min(1),
      /** Ended with this event. */
      replacedSecretIds: z.array(id),
      /** Replaced too, and live until then. */
      retirements: z.array(z.strictObject({ secretId: id, retiresAt: dateTime })).exactOptional(),
      expiresAt: dateTime.exactOptional(),
      /** The secret has not the form of Keyturn's. */
      isImported: z.literal(true).exactOptional(),
      /** In CIDR notation: it can be used from these alone. */
      allowedNetworks: z.array(z.string().min(1)).exactOptional(),
      maxUses: z.int().min(1).exactOptional(),
    }),
    upcasts: { 1: unchanged },
  },
  /** Without `expiresAt` it expires no more. */
  MachineSecretExpiryChanged: {
    version: 1,
    data: z.strictObject({ secretId: id, expiresAt: dateTime.exactOptional() }),
  },
  /** The secret goes on beside the one that has replaced it. */
  MachineSecretRetirementCancelled: { version: 1, data: z.strictObject({ secretId: id }) },
  /** An announcement: nothing has changed yet. */
  MachineSecretExpiring: {
    version: 1,
    data: z.strictObject({ secretId: id, expiresAt: dateTime, daysBefore: z.int().min(1) }),
  },
  /** The secret was of no use from `expiredAt` on, which may be before this event. */
  MachineSecretExpired: { version: 1, data: z.strictObject({ secretId: id, expiredAt: dateTime }) },
  /** As expired; it was replaced, or somebody retired it. */
  MachineSecretRetired: { version: 1, data: z.strictObject({ secretId: id, retiredAt: dateTime }) },
  /** Somebody found the secret where it should not be. */
  MachineSecretLeaked: {
    version: 1,
    data: z.strictObject({
      secretId: id,
      /** Who or what found it. */
      source: z.string().min(1),
      /** Where. */
      url: z.string().min(1).exactOptional(),
    }),
  },
  /** The same secret, hashed anew because the hash settings changed. */
  MachineSecretRehashed: {
    version: 1,
    data: z.strictObject({ secretId: id, hashedSecret: z.string().min(1) }),
  },
  MachineSecretRemoved: { version: 1, data: z.strictObject({ secretIds: z.array(id).min(1) }) },
  /** The user may sign in with assertions that it signs with the private part of this key. */
  MachineKeyAdded: {
    version: 1,
    data: z.strictObject({
      keyId: id,
      /** PEM, SubjectPublicKeyInfo (RFC 7468 section 13). */
      publicKey: z.string().min(1),
      /** RFC 3339 */
      expiresAt: dateTime,
    }),
  },
  MachineKeyRemoved: { version: 1, data: z.strictObject({ keyId: id }) },
  /** All access tokens that were granted until now are void; the user and its secrets go on. */
  MachineTokensEnded: { version: 1, data: nothing },
  MachineUserDeactivated: { version: 1, data: nothing },
  MachineUserReactivated: { version: 1, data: nothing },
  MachineUserLocked: { version: 1, data: nothing },
  MachineUserUnlocked: { version: 1, data: nothing },
  MachineUserRemoved: { version: 1, data: nothing },
  /** The key of a removed user's personal fields is destroyed: from now on nobody can read them. */
  MachineUserErased: { version: 1, data: nothing },
} as const satisfies EventSchemas;

export type MachineUserEvent = EventsOf<typeof machineUserEventSchemas>;
