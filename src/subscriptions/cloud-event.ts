import { z } from 'zod';
import { idOfStream } from '../domain/aggregates.ts';
import { readStoredData, readStoredMetadata } from '../domain/event-catalogue.ts';
import { eventMetadataSchema } from '../domain/event-metadata.ts';
import type { RecordedEvent } from '../eventstore/event-store.ts';
import {
  isBookkeeping,
  type PublishedData,
  type PublishedEventType,
  publishedDataOf,
  publishedEvents,
  publishedEventTypes,
} from './published-events.ts';

/** Before the name of an event. A change that breaks receivers gets a new version, and so a new name. */
export const cloudEventTypePrefix = 'keyturn.v1.';

const cloudEventTypes: ReadonlyMap<string, string> = new Map(
  publishedEventTypes.map((type) => [type, `${cloudEventTypePrefix}${type}`]),
);

export const testType = 'WebhookTest';

/** The media type of {@link CloudEvent} as JSON (CloudEvents JSON format 1.0, section 3). */
export const cloudEventMediaType = 'application/cloudevents+json';

/**
 * An event as subscribers get it: CloudEvents 1.0, structured mode.
 * `docs/subscribers.md` says what each attribute means, `docs/schemas/cloud-event.schema.json` is its JSON Schema.
 */
export interface CloudEventOf<Type extends PublishedEventType> {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: `${typeof cloudEventTypePrefix}${Type}`;
  readonly subject: string;
  /** RFC 3339. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** Place in the log, as a decimal string. */
  readonly position: string;
  /** `details.sequence` of the API, as a decimal string. */
  readonly streamversion: string;
  /** Absent for events that belong to no organization. */
  readonly organizationid?: string;
  /** Who caused it, as CloudEvents' Auth Context extension says. */
  readonly authtype: 'service_account' | 'system';
  readonly authid?: string;
  readonly correlationid: string;
  readonly causationid: string;
  readonly data: PublishedData<Type>;
}

/** Any of `Types`; tell them apart by `type`. */
export type CloudEvent<Types extends PublishedEventType = PublishedEventType> = {
  [Type in Types]: CloudEventOf<Type>;
}[Types];

export interface CloudEventContext {
  /** The URL of this Keyturn, its issuer. With the id it names the event world-wide. */
  readonly source: string;
  readonly organizationId: string | undefined;
}

/** What is told of a stored event, and where it stands. Places are decimal numbers. */
export interface PlacedEvent extends Pick<RecordedEvent, 'stream' | 'id' | 'type' | 'data' | 'metadata'> {
  readonly position: string;
  readonly streamVersion: string;
}

/** The one form in which a stored event leaves Keyturn. Undefined for an event that is not published. */
export function toCloudEvent(
  { stream, revision, position, id, type, data, metadata }: RecordedEvent,
  context: CloudEventContext,
): CloudEvent | undefined {
  if (isBookkeeping(type)) return undefined;
  const place = { position: String(position), streamVersion: String(revision + 1n) };
  return cloudEventOf({ stream, id, type, data, metadata, ...place }, context);
}

/**
 * The same for a type that is published.
 *
 * @throws EventSchemaError
 */
export function cloudEventOf(placed: PlacedEvent, { source, organizationId }: CloudEventContext): CloudEvent {
  const { stream, id, type, position, streamVersion } = placed;
  const { schemaVersion, occurredAt, editor, $correlationId, $causationId } = readStoredMetadata(placed);
  const event = readStoredData(type, placed.data, schemaVersion);
  const category = stream.slice(0, stream.indexOf('-'));
  // Attributes one after the other: an object that is put together from others takes twice as long to be written as JSON.
  const cloudEvent: Record<string, unknown> = {
    specversion: '1.0',
    id,
    source,
    type: cloudEventTypes.get(type),
    subject: stream,
    time: occurredAt,
    datacontenttype: 'application/json',
    position,
    streamversion: streamVersion,
  };
  if (organizationId !== undefined) cloudEvent['organizationid'] = organizationId;
  if (editor === null) {
    cloudEvent['authtype'] = 'system';
  } else {
    cloudEvent['authtype'] = 'service_account';
    cloudEvent['authid'] = editor.userId;
  }
  cloudEvent['correlationid'] = $correlationId;
  cloudEvent['causationid'] = $causationId;
  cloudEvent['data'] = publishedDataOf(event, category, idOfStream(stream));
  return cloudEvent as unknown as CloudEvent;
}

/** A CloudEvent that tells nothing, for a receiver to be tried with. It is no event of the log, and has no place in it. */
export function testCloudEvent(about: {
  readonly id: string;
  readonly source: string;
  readonly webhookId: string;
  readonly organizationId: string;
  readonly time: Date;
}) {
  return {
    specversion: '1.0',
    id: about.id,
    source: about.source,
    type: `${cloudEventTypePrefix}${testType}`,
    subject: `webhook-${about.webhookId}`,
    time: about.time.toISOString(),
    datacontenttype: 'application/json',
    organizationid: about.organizationId,
    data: { webhookId: about.webhookId },
  };
}

/** The name of the event that a CloudEvents `type`, with or without its prefix, stands for. */
export function eventNameOf(type: string): string {
  return type.startsWith(cloudEventTypePrefix) ? type.slice(cloudEventTypePrefix.length) : type;
}

const decimal = z.string().regex(/^\d+$/);

/** The JSON Schema of every {@link CloudEvent}: one definition for each type, and `oneOf` all of them. */
export function cloudEventJsonSchema(): object {
  const definitions = publishedEventTypes.map((type): [string, unknown] => {
    const schema = z.strictObject({
      ...attributesOf(type),
      position: decimal.describe('place in the log: grows, may have gaps'),
      streamversion: decimal.describe('details.sequence of the API'),
      organizationid: z.string().min(1).exactOptional(),
      authtype: z.enum(['service_account', 'system']),
      authid: z.string().min(1).exactOptional(),
      correlationid: z.string().min(1),
      causationid: z.string().min(1),
      data: publishedEvents[type],
    });
    return [type, definitionOf(schema)];
  });
  const testEvent = z.strictObject({
    ...attributesOf(testType),
    organizationid: z.string().min(1),
    data: z.strictObject({ webhookId: z.string().min(1) }),
  });
  definitions.push([testType, definitionOf(testEvent)]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Events of Keyturn as CloudEvents 1.0',
    oneOf: definitions.map(([type]) => ({ $ref: `#/$defs/${type}` })),
    $defs: Object.fromEntries(definitions),
  };
}

function attributesOf(type: string) {
  return {
    specversion: z.literal('1.0'),
    id: z.uuid(),
    source: z.string().min(1),
    type: z.literal(`${cloudEventTypePrefix}${type}`),
    subject: z.string().min(1),
    time: eventMetadataSchema.shape.occurredAt,
    datacontenttype: z.literal('application/json'),
  };
}

/** A receiver must take attributes and fields that it does not know: they may be added within a version. */
function definitionOf(schema: z.ZodObject): unknown {
  const { $schema: _, ...definition } = z.toJSONSchema(schema);
  return open(definition);
}

/** Without what forbids unknown properties. */
function open(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(open);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(
    ([keyword, value]) => !(keyword === 'additionalProperties' && value === false),
  );
  return Object.fromEntries(entries.map(([keyword, value]) => [keyword, open(value)]));
}
