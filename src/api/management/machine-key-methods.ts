import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { KeyType } from '@zitadel/proto/zitadel/auth_n_key_pb.js';
import { ManagementService } from '@zitadel/proto/zitadel/management_pb.js';
import type { MachineKeys } from '../../application/machine-keys.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineKeyView, Page } from '../../projections/machine-keys.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';
import { objectDetails } from './object-details.ts';

export interface MachineKeyDirectory {
  machineUserById(userId: string): { readonly organizationId: string } | undefined;
  machineKey(userId: string, keyId: string): MachineKeyView | undefined;
  machineKeys(userId: string, page: Page): { total: number; keys: MachineKeyView[] };
}

export interface MachineKeyMethodsOptions {
  readonly machineKeys: MachineKeys;
  readonly directory: MachineKeyDirectory;
}

/** ZITADEL's defaults for lists (defaults.yaml, DefaultQueryLimit and MaxQueryLimit). */
const pageLimit = { byDefault: 100, most: 1000 };

const { method } = ManagementService;

/** The methods of zitadel.management.v1.ManagementService that are about the keys of machine users. */
export function machineKeyMethods({ machineKeys, directory }: MachineKeyMethodsOptions): RpcMethod[] {
  const requireUser = (userId: string, organizationId: string) => {
    if (directory.machineUserById(userId)?.organizationId !== organizationId) {
      throw new KeyturnError('USER_NOT_FOUND');
    }
  };

  return [
    implement(method.addMachineKey, async ({ userId, expirationDate, publicKey }, { caller, context }) => {
      const { organizationId } = caller;
      const added = await machineKeys.add(
        {
          userId,
          organizationId,
          expiresAt: expirationDate && toDate(expirationDate).toISOString(),
          publicKey: publicKey.length === 0 ? undefined : Buffer.from(publicKey).toString('utf8'),
        },
        context,
      );
      return {
        keyId: added.keyId,
        details: objectDetails(added.details),
        ...(added.keyFile !== undefined && { keyDetails: new TextEncoder().encode(added.keyFile) }),
      };
    }),

    implement(method.getMachineKeyByIDs, async ({ userId, keyId }, { caller }) => {
      requireUser(userId, caller.organizationId);
      const key = directory.machineKey(userId, keyId);
      if (key === undefined) throw new KeyturnError('MACHINE_KEY_NOT_FOUND');
      return { key: toKey(key, caller.organizationId) };
    }),

    implement(method.listMachineKeys, async ({ userId, query }, { caller }) => {
      requireUser(userId, caller.organizationId);
      const limit = query?.limit || pageLimit.byDefault;
      if (limit > pageLimit.most) {
        throw new KeyturnError('FIELD_INVALID', {
          text: `invalid ListQuery.Limit: value must be at most ${pageLimit.most}`,
        });
      }
      const offset = Number(query?.offset ?? 0n);
      const { total, keys } = directory.machineKeys(userId, {
        limit,
        offset,
        ascending: query?.asc ?? false,
      });
      return {
        details: { totalResult: BigInt(total), viewTimestamp: timestampFromDate(new Date()) },
        result: keys.map((key) => toKey(key, caller.organizationId)),
      };
    }),

    implement(method.removeMachineKey, async ({ userId, keyId }, { caller, context }) => {
      const { organizationId } = caller;
      const details = await machineKeys.remove({ userId, organizationId }, keyId, context);
      return { details: objectDetails(details) };
    }),
  ];
}

/** zitadel.authn.v1.Key */
function toKey({ keyId, expiresAt, sequence, creationDate }: MachineKeyView, resourceOwner: string) {
  return {
    id: keyId,
    details: objectDetails({ sequence, creationDate, changeDate: creationDate, resourceOwner }),
    type: KeyType.JSON,
    expirationDate: timestampFromDate(new Date(expiresAt)),
  };
}

/** The last that RFC 3339, and google.protobuf.Timestamp, can write. */
const latestTime = Date.parse('9999-12-31T23:59:59.999Z');

/** @throws KeyturnError `FIELD_INVALID` for a time that no date can hold */
function toDate(timestamp: Timestamp): Date {
  const date = timestampDate(timestamp);
  if (Number.isNaN(date.getTime()) || date.getTime() > latestTime) {
    throw new KeyturnError('FIELD_INVALID', {
      text: 'invalid AddMachineKeyRequest.ExpirationDate: not a date',
    });
  }
  return date;
}
