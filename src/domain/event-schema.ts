import type { z } from 'zod';
import { compiledWhenUsed } from './compiled-when-used.ts';
import type { DomainEvent } from './decider.ts';

/** Turns the data of one schema version into that of the next. */
export type Upcast = (data: Record<string, unknown>) => Record<string, unknown>;

/** For data that mean what they meant: some may be there now that were not before, or be stored in another way. */
export const unchanged: Upcast = (data) => data;

export interface EventSchema<Data extends object = object> {
  /** The version that is written today. The first is 1. */
  readonly version: number;
  readonly data: z.ZodType<Data>;
  /** The fields that tell who somebody is: stored sealed, so that they can be erased. Texts, at the top of `data`. */
  readonly personal?: readonly string[];
  /** `upcasts[n]` reads version n as version n + 1. One for each version before today's; stored events are never rewritten. */
  readonly upcasts?: Readonly<Record<number, Upcast>>;
}

export type EventSchemas = Readonly<Record<string, EventSchema>>;

/** The union of the events that `Schemas` describes. */
export type EventsOf<Schemas extends EventSchemas> = {
  [Type in keyof Schemas & string]: DomainEvent<Type, z.output<Schemas[Type]['data']>>;
}[keyof Schemas & string];

/** An event cannot be written, or cannot be understood when read. Names the event type and what does not fit. */
export class EventSchemaError extends Error {
  override readonly name = 'EventSchemaError';
}

/** Checks `event` against today's schema of its type and says which version that is. Throws {@link EventSchemaError}. */
export function checkNewEvent(
  schemas: EventSchemas,
  event: DomainEvent,
): { data: object; schemaVersion: number } {
  const schema = schemaOf(schemas, event.type);
  return { data: parse(schema, event.type, event.data), schemaVersion: schema.version };
}

/** The first version from which on stored data are read as they are. */
export function unchangedSince({ version, upcasts }: EventSchema): number {
  let first = version;
  while (upcasts?.[first - 1] === unchanged) first--;
  return first;
}

/** Reads stored event data of any past version as today's. Throws {@link EventSchemaError}. */
export function upcastEvent(
  schemas: EventSchemas,
  type: string,
  data: Record<string, unknown>,
  schemaVersion: number,
): DomainEvent {
  const schema = schemaOf(schemas, type);
  if (schemaVersion > schema.version) {
    throw new EventSchemaError(
      `${type} is stored in schema version ${schemaVersion}, this Keyturn knows versions up to ${schema.version}: upgrade it`,
    );
  }
  let current = data;
  for (let version = schemaVersion; version < schema.version; version++) {
    const upcast = schema.upcasts?.[version];
    if (upcast === undefined) {
      throw new EventSchemaError(`${type} has no upcast from schema version ${version}`);
    }
    current = upcast(current);
  }
  return { type, data: parse(schema, type, current) };
}

function schemaOf(schemas: EventSchemas, type: string): EventSchema {
  const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined;
  if (schema === undefined)
    throw new EventSchemaError(`${type} is not an event type that this Keyturn knows: upgrade it`);
  return schema;
}

const checks = new WeakMap<EventSchema, ReturnType<typeof checkOf>>();

function checkOf(schema: EventSchema): (value: unknown) => z.ZodSafeParseResult<object> {
  const known = checks.get(schema);
  if (known !== undefined) return known;
  const check = compiledWhenUsed(schema.data);
  checks.set(schema, check);
  return check;
}

function parse(schema: EventSchema, type: string, data: object): object {
  const result = checkOf(schema)(data);
  if (result.success) return result.data;
  // Paths and rules only: a value may be a hash.
  const faults = result.error.issues.map((issue) => `${issue.path.join('.') || 'data'}: ${issue.code}`);
  throw new EventSchemaError(`${type} does not fit its schema (${faults.join(', ')})`);
}
