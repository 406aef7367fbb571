import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { AdminService, type ListEventsRequest } from '#generated/zitadel/admin_pb.js';
import type { EventSchema } from '#generated/zitadel/event_pb.js';
import type { EventLog, EventLogQuery, LoggedEvent } from '../../application/event-log.ts';
import { instanceId } from '../../domain/aggregates.ts';
import { KeyturnError } from '../../domain/errors.ts';
import { publishedDataOf } from '../../subscriptions/published-events.ts';
import type { Directory } from '../directory.ts';
import {
  eventTypeOf,
  type Language,
  languageOf,
  localizedEventType,
  zitadelEventTypes,
  zitadelTypeOf,
} from '../messages/event-names.ts';
import { limitOf } from '../messages/list-query.ts';
import { implement, type RpcMethod } from '../rpc/method.ts';

export interface EventMethodDependencies {
  readonly eventLog: EventLog;
  readonly directory: Directory;
}

const { method } = AdminService;

/** What ZITADEL calls each category of streams; those with `keyturn.` are our own. */
export const aggregateTypes: Readonly<Record<string, string>> = {
  machineUser: 'user',
  organization: 'org',
  instance: 'instance',
  machineSecretUse: 'keyturn.machine_secret_use',
  secretPolicy: 'keyturn.secret_policy',
  userName: 'keyturn.user_name',
  accessToken: 'keyturn.access_token',
  clientAssertion: 'keyturn.client_assertion',
  checkpointKey: 'keyturn.checkpoint_key',
  webhook: 'keyturn.webhook',
  node: 'keyturn.node',
  subscription: 'keyturn.subscription',
  parkedEvents: 'keyturn.parked_events',
};

/**
 * The log, as zitadel.admin.v1.AdminService shows it: ZITADEL's event types, and in the payload
 * what subscribers are shown: no hash, no key.
 */
export function eventMethods({ eventLog, directory }: EventMethodDependencies): RpcMethod[] {
  return [
    implement(method.listEvents, async (request, { context, requestHeader }) => {
      const language = languageOf(requestHeader('accept-language'));
      const events = await eventLog.search(queryOf(request), context.signal ?? AbortSignal.any([]));
      return { events: events.map((event) => toEvent(event, language, directory)) };
    }),

    implement(method.listEventTypes, async (_request, { requestHeader }) => {
      const language = languageOf(requestHeader('accept-language'));
      const types = zitadelEventTypes.map((zitadelType) =>
        typeMessage(eventTypeOf(zitadelType) ?? '', language),
      );
      return { eventTypes: types };
    }),

    implement(method.listAggregateTypes, async () => ({
      aggregateTypes: Object.keys(aggregateTypes).map(aggregateTypeMessage),
    })),
  ];
}

/** @throws KeyturnError `QUERY_INVALID` */
function queryOf(request: ListEventsRequest): EventLogQuery {
  const { asc, sequence, editorUserId, aggregateId, resourceOwner } = request;
  return {
    ascending: asc,
    limit: limitOf(request.limit, 'limit'),
    types: request.eventTypes.map((type) => eventTypeOf(type) ?? unknown('event type', type)),
    categories: request.aggregateTypes.map((type) => categoryOf(type) ?? unknown('aggregate type', type)),
    ...(sequence > 0n && { afterSequence: sequence }),
    ...(editorUserId !== '' && { editorId: editorUserId }),
    ...(aggregateId !== '' && { aggregateId }),
    ...(resourceOwner !== '' && { organizationId: resourceOwner }),
    ...periodOf(request),
  };
}

/** `from` goes in the direction of the list: to newer events where it ascends, to older ones where it does not. */
function periodOf({ asc, creationDate, creationDateFilter }: ListEventsRequest): {
  since?: Date;
  until?: Date;
} {
  if (creationDateFilter.case === 'range') {
    const { since, until } = creationDateFilter.value;
    return { ...(since && { since: dateOf(since) }), ...(until && { until: dateOf(until) }) };
  }
  const from = creationDateFilter.case === 'from' ? creationDateFilter.value : creationDate;
  if (from === undefined) return {};
  return asc ? { since: dateOf(from) } : { until: dateOf(from) };
}

function dateOf(timestamp: Timestamp): Date {
  return timestampDate(timestamp);
}

function categoryOf(aggregateType: string): string | undefined {
  return Object.keys(aggregateTypes).find((category) => aggregateTypes[category] === aggregateType);
}

function unknown(kind: string, name: string): never {
  throw new KeyturnError('QUERY_INVALID', { text: `${JSON.stringify(name)} is no ${kind}` });
}

function toEvent(
  logged: LoggedEvent,
  language: Language,
  directory: Directory,
): MessageInitShape<typeof EventSchema> {
  const { event, category, aggregateId, editorId = '' } = logged;
  return {
    editor: {
      userId: editorId,
      displayName: directory.machineUserById(editorId)?.name ?? '',
      service: 'Keyturn',
    },
    aggregate: {
      id: aggregateId,
      type: aggregateTypeMessage(category),
      resourceOwner: logged.organizationId ?? instanceId,
    },
    sequence: logged.sequence,
    creationDate: timestampFromDate(new Date(logged.occurredAt)),
    payload: publishedDataOf(event, category, aggregateId) as JsonObject,
    type: typeMessage(event.type, language),
  };
}

function typeMessage(type: string, language: Language) {
  return { type: zitadelTypeOf(type), localized: localizedEventType(type, language) };
}

function aggregateTypeMessage(category: string) {
  const type = aggregateTypes[category] ?? category;
  return { type, localized: { key: `AggregateTypes.${type}`, localizedMessage: type } };
}
