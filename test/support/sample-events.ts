import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { eventCatalogue, type KeyturnEvent } from '../../src/domain/event-catalogue.ts';
import type { JsonObject, RecordedEvent } from '../../src/eventstore/event-store.ts';
import { givenTime } from './given-when-then.ts';

interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
}

/** Event data with every field of the schema; each text in it says `<path>-value`, so that a leak is seen. */
function sampleOf(schema: JsonSchema, path: string): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.anyOf?.[0] !== undefined) return sampleOf(schema.anyOf[0], path);
  switch (schema.type) {
    case 'object': {
      const properties = Object.entries(schema.properties ?? {});
      const sample = Object.fromEntries(properties.map(([name, one]) => [name, sampleOf(one, name)]));
      const isRecord = typeof schema.additionalProperties === 'object';
      return isRecord
        ? { ...sample, anyKey: sampleOf(schema.additionalProperties as JsonSchema, path) }
        : sample;
    }
    case 'array':
      return [sampleOf(schema.items ?? {}, path)];
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'string':
      if (schema.format === 'date-time') return givenTime;
      return schema.pattern?.includes('\\d') ? '1' : `${path}-value`;
    default:
      throw new TypeError(`no sample for ${JSON.stringify(schema)} at ${path}`);
  }
}

const categories: readonly (readonly [RegExp, string])[] = [
  [/^AccessToken/, 'accessToken'],
  [/^ClientAssertion/, 'clientAssertion'],
  [/^MachineSecret(Used|CheckFailed)/, 'machineSecretUse'],
  [/^SecretPolicy/, 'secretPolicy'],
  [/^Machine/, 'machineUser'],
  [/^Organization/, 'organization'],
  [/^(Instance|SigningKey)/, 'instance'],
  [/^UserName/, 'userName'],
  [/^Webhook/, 'webhook'],
  [/^Subscription/, 'subscription'],
  [/^Node/, 'node'],
  [/Parked/, 'parkedEvents'],
  [/^CheckpointKey/, 'checkpointKey'],
];

/** An event of each type of the catalogue as a store holds it, with all its fields. */
export function sampleEvents(): RecordedEvent[] {
  return (Object.keys(eventCatalogue) as KeyturnEvent['type'][]).map((type, index) => {
    const { data, version } = eventCatalogue[type];
    const category = categories.find(([pattern]) => pattern.test(type))?.[1];
    if (category === undefined) throw new TypeError(`say which category of streams ${type} is in`);
    return {
      id: randomUUID(),
      type,
      stream: `${category}-some-id`,
      revision: BigInt(index),
      position: BigInt(1000 + index),
      recordedAt: new Date(givenTime),
      data: sampleOf(z.toJSONSchema(data) as JsonSchema, type) as JsonObject,
      metadata: {
        schemaVersion: version,
        occurredAt: givenTime,
        editor: { userId: 'editor-id', organizationId: 'editor-organization' },
        $correlationId: 'correlation',
        $causationId: 'causation',
        previousHash: 'previousHash-value',
      },
    };
  });
}
