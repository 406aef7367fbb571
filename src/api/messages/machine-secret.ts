import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Duration,
  DurationSchema,
  type Timestamp,
  timestampDate,
  timestampFromDate,
} from '@bufbuild/protobuf/wkt';
import type { MachineSecretSchema } from '#generated/keyturn/v1/machine_user_pb.js';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineSecretView } from '../../projections/machine-secrets.ts';

/** keyturn.v1.MachineSecret */
export function toMachineSecret(secret: MachineSecretView): MessageInitShape<typeof MachineSecretSchema> {
  const { secretId, creationDate, maxUses, uses, isImported, isLeaked, allowedNetworks } = secret;
  return {
    id: secretId,
    creationDate: timestampOf(creationDate),
    ...(secret.firstUsed !== undefined && { firstUseDate: timestampOf(secret.firstUsed) }),
    ...(secret.lastUsed !== undefined && { lastUseDate: timestampOf(secret.lastUsed) }),
    ...(secret.expiresAt !== undefined && { expirationDate: timestampOf(secret.expiresAt) }),
    ...(secret.retiresAt !== undefined && { retirementDate: timestampOf(secret.retiresAt) }),
    ...(secret.lastLateUse !== undefined && { lastLateUseDate: timestampOf(secret.lastLateUse) }),
    allowedNetworks: [...(allowedNetworks ?? [])],
    ...(maxUses !== undefined && { maxUses, uses }),
    imported: isImported,
    leaked: isLeaked,
  };
}

/** @param time RFC 3339 */
export function timestampOf(time: string) {
  return timestampFromDate(new Date(time));
}

/** The last that RFC 3339, and google.protobuf.Timestamp, can write. */
const latestTime = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * RFC 3339 with milliseconds.
 *
 * @throws KeyturnError `FIELD_INVALID` for a time that no date can hold
 */
export function timeOf(timestamp: Timestamp, field: string): string {
  const date = timestampDate(timestamp);
  if (Number.isNaN(date.getTime()) || date.getTime() > latestTime) {
    throw new KeyturnError('FIELD_INVALID', { text: `invalid ${field}: not a date` });
  }
  return date.toISOString();
}

export function durationOf(seconds: number): Duration {
  return create(DurationSchema, { seconds: BigInt(seconds) });
}

/** Throws KeyturnError `FIELD_INVALID` for anything but whole seconds, zero or more. */
export function secondsOf({ seconds, nanos }: Duration, field: string): number {
  if (seconds < 0n || nanos !== 0) {
    throw new KeyturnError('FIELD_INVALID', {
      text: `invalid ${field}: it must be whole seconds, zero or more`,
    });
  }
  return Number(seconds);
}
