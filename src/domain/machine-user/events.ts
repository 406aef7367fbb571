import { z } from 'zod';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

/** `bearer`: opaque access tokens, `jwt`: self-contained ones (zitadel.user.v1.AccessTokenType). */
export const accessTokenTypes = ['bearer', 'jwt'] as const;
export type AccessTokenType = (typeof accessTokenTypes)[number];

const id = z.string().min(1);
const accessTokenType = z.enum(accessTokenTypes);
const nothing = z.strictObject({});

/** What can happen to a machine user. `docs/events.md` is the catalogue for readers. */
export const machineUserEventSchemas = {
  MachineUserAdded: {
    version: 1,
    data: z.strictObject({
      organizationId: id,
      userName: z.string().min(1),
      name: z.string().min(1),
      description: z.string(),
      accessTokenType,
    }),
  },
  /** Holds the fields that changed, no others. */
  MachineUserChanged: {
    version: 1,
    data: z.strictObject({
      name: z.string().min(1).exactOptional(),
      description: z.string().exactOptional(),
      accessTokenType: accessTokenType.exactOptional(),
    }),
  },
  MachineUserNameChanged: { version: 1, data: z.strictObject({ userName: z.string().min(1) }) },
  /** The user's claim on a user name that it did not use was taken over by another user. */
  MachineUserNameClaimLapsed: { version: 1, data: z.strictObject({ userName: z.string().min(1) }) },
  /** A new secret is live. The secrets in `replacedSecretIds` ended with this event. */
  MachineSecretSet: {
    version: 1,
    data: z.strictObject({ secretId: id, hashedSecret: z.string().min(1), replacedSecretIds: z.array(id) }),
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
      expiresAt: z.iso.datetime({ precision: 3 }),
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
} as const satisfies EventSchemas;

export type MachineUserEvent = EventsOf<typeof machineUserEventSchemas>;
