import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { AuditService } from '#generated/keyturn/v1/audit_pb.js';
import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserStanding } from '../../projections/machine-user-states.ts';
import { implement, type RpcService } from '../rpc/method.ts';

export interface HistoryPage {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly types?: readonly string[] | undefined;
  readonly after: bigint;
  readonly limit: number;
}

interface HistoryEvent {
  readonly time: string;
  readonly type: string;
  readonly sequence: bigint;
  readonly stream: string;
  readonly position: bigint;
  readonly editor?: { readonly userId: string; readonly organizationId: string; readonly userName?: string };
  readonly organizationId?: string;
  readonly address?: string;
  readonly userAgent?: string;
  readonly requestId: string;
  readonly changes: readonly { readonly field: string; readonly from: string; readonly to: string }[];
}

/** The log, as auditors ask it. */
export interface AuditTrail {
  /** The organization that owns a machine user, also one that was removed; undefined for one that never was. */
  ownerOf(userId: string): Promise<string | undefined>;
  history(userId: string, page: HistoryPage): AsyncIterable<HistoryEvent>;
  /** RFC 3339 in UTC from a time as people write it; undefined for anything else. */
  parseTime(text: string): string | undefined;
  /** `user` is undefined when it did not exist. The answer is undefined for a moment that is none of this log. */
  asOf(
    userId: string,
    moment: string,
  ): Promise<
    | {
        readonly position: bigint;
        readonly user: MachineUserStanding | undefined;
        readonly canSignIn: boolean;
      }
    | undefined
  >;
}

const defaultPage = 100;
const largestPage = 1000;

/** keyturn.v1.AuditService */
export function auditService(trail: AuditTrail): RpcService {
  /** A user of another organization is as unknown as one that does not exist. */
  const requireUser = async (userId: string, organizationId: string): Promise<void> => {
    if ((await trail.ownerOf(userId)) !== organizationId) throw new KeyturnError('USER_NOT_FOUND');
  };
  const optionalTime = (field: string, text: string): string | undefined => {
    if (text === '') return undefined;
    const time = trail.parseTime(text);
    if (time === undefined)
      throw invalid(`GetUserHistoryRequest.${field}`, 'value must be a time (RFC 3339)');
    return time;
  };

  const methods = [
    implement(AuditService.method.getUserHistory, async (request, { caller }) => {
      const { userId, since, until, type, after, limit } = request;
      await requireUser(userId, caller.organizationId);
      if (limit > largestPage) {
        throw invalid('GetUserHistoryRequest.Limit', `value must be at most ${largestPage}`);
      }
      const events = trail.history(userId, {
        since: optionalTime('Since', since),
        until: optionalTime('Until', until),
        types: type === '' ? undefined : [type],
        after,
        limit: limit || defaultPage,
      });
      return { events: (await Array.fromAsync(events)).map(toHistoryEvent) };
    }),

    implement(AuditService.method.getUserAsOf, async ({ userId, moment }, { caller }) => {
      await requireUser(userId, caller.organizationId);
      const found = await trail.asOf(userId, moment);
      if (found === undefined) {
        throw invalid(
          'GetUserAsOfRequest.Moment',
          'value must be a time (RFC 3339) or a position of the log',
        );
      }
      const { position, user, canSignIn } = found;
      if (user === undefined) throw new KeyturnError('USER_NOT_FOUND');
      return { position, user: toStanding(user, canSignIn) };
    }),
  ];
  return { descriptor: AuditService, basePath: '/keyturn/v1', scope: 'organization', methods };
}

function invalid(field: string, fault: string): KeyturnError {
  return new KeyturnError('FIELD_INVALID', { text: `invalid ${field}: ${fault}` });
}

const timestamp = (time: string) => timestampFromDate(new Date(time));

function toHistoryEvent({ time, changes, ...event }: HistoryEvent) {
  return { ...event, time: timestamp(time), changes: [...changes] };
}

function toStanding(
  { creationDate, changeDate, secrets, keys, roles, ...user }: MachineUserStanding,
  canSignIn: boolean,
) {
  return {
    ...user,
    canSignIn,
    creationDate: timestamp(creationDate),
    changeDate: timestamp(changeDate),
    secrets: secrets.map((secret) => ({ ...secret, creationDate: timestamp(secret.creationDate) })),
    keys: keys.map((key) => ({
      ...key,
      creationDate: timestamp(key.creationDate),
      expiresAt: timestamp(key.expiresAt),
    })),
    roles: roles.map((granted) => ({ ...granted, roles: [...granted.roles] })),
  };
}
