import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { KeyType } from '#generated/zitadel/auth_n_key_pb.js';
import { ManagementService } from '#generated/zitadel/management_pb.js';
import type { MachineKeys } from '../../application/machine-keys.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineKeyView } from '../../projections/machine-keys.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import type { PageOptions, SearchResult } from '../../projections/paged-search.ts';
import { listDetails, type ReadModelProgress } from '../messages/list-details.ts';
import { pageOf } from '../messages/list-query.ts';
import { objectDetails } from '../messages/object-details.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';
import { userIn } from './user-in.ts';

export interface MachineKeyDirectory {
  machineUserById(userId: string): MachineUserView | undefined;
  machineKey(userId: string, keyId: string): MachineKeyView | undefined;
  searchMachineKeys(userId: string, page: PageOptions): SearchResult<MachineKeyView>;
}

export interface MachineKeyMethodDependencies {
  readonly machineKeys: MachineKeys;
  readonly directory: MachineKeyDirectory;
  readonly progress: () => ReadModelProgress;
}

const { method } = ManagementService;

/** The methods of zitadel.management.v1.ManagementService that are about the keys of machine users. */
export function machineKeyMethods(dependencies: MachineKeyMethodDependencies): RpcMethod[] {
  const { machineKeys, directory, progress } = dependencies;

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
      userIn(directory, userId, caller.organizationId);
      const key = directory.machineKey(userId, keyId);
      if (key === undefined) throw new KeyturnError('MACHINE_KEY_NOT_FOUND');
      return { key: toKey(key, caller.organizationId) };
    }),

    implement(method.listMachineKeys, async ({ userId, query }, { caller }) => {
      userIn(directory, userId, caller.organizationId);
      const { total, items } = directory.searchMachineKeys(userId, pageOf(query));
      return {
        details: listDetails(total, progress()).v1,
        result: items.map((key) => toKey(key, caller.organizationId)),
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
