import {
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  ScalarType,
} from '@bufbuild/protobuf';
import { type FieldRules, required, rules } from '@zitadel/proto/validate/validate_pb.js';

/** A JSON Schema, as OpenAPI 3.1 takes it. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** The schemas of messages and enums in the proto3 JSON mapping, each once, by the name of its type. */
export class JsonSchemas {
  readonly #schemas = new Map<string, JsonSchema>();

  /** A reference to the schema, which is then among `all`. */
  referenceTo(type: DescMessage | DescEnum): JsonSchema {
    if (!this.#schemas.has(type.typeName)) {
      // Set before it is known: a message may hold one of its own type.
      this.#schemas.set(type.typeName, {});
      this.#schemas.set(type.typeName, type.kind === 'message' ? this.#message(type) : enumSchema(type));
    }
    return { $ref: `#/components/schemas/${type.typeName}` };
  }

  get all(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries([...this.#schemas].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The value of one field. */
  ofField(field: DescField): JsonSchema {
    const constraints = hasOption(field, rules) ? constraintsOf(getOption(field, rules)) : {};
    switch (field.fieldKind) {
      case 'list':
        return { type: 'array', items: this.#single(field), ...constraints };
      case 'map':
        return { type: 'object', additionalProperties: this.#single(field) };
      default: {
        const schema = this.#single(field);
        // Beside a reference stand no constraints: those of protoc-gen-validate are about scalars.
        return '$ref' in schema ? schema : { ...schema, ...constraints };
      }
    }
  }

  #message(message: DescMessage): JsonSchema {
    const wellKnown = wellKnownTypes[message.typeName];
    if (wellKnown !== undefined) return wellKnown;
    const properties = Object.fromEntries(
      message.fields.map((field) => [field.jsonName, this.ofField(field)]),
    );
    const choices = message.oneofs
      .filter((oneof) => hasOption(oneof, required) && getOption(oneof, required))
      .map((oneof) => ({ oneOf: oneof.fields.map((field) => ({ required: [field.jsonName] })) }));
    return { type: 'object', properties, ...(choices.length > 0 && { allOf: choices }) };
  }

  #single(field: DescField): JsonSchema {
    if (field.message !== undefined) return this.referenceTo(field.message);
    if (field.enum !== undefined) return this.referenceTo(field.enum);
    return scalarSchemas[field.scalar ?? ScalarType.STRING];
  }
}

const timestamp = { type: 'string', format: 'date-time' };
const wellKnownTypes: Readonly<Record<string, JsonSchema>> = {
  'google.protobuf.Timestamp': timestamp,
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]+)?s$' },
  'google.protobuf.Struct': { type: 'object' },
  'google.protobuf.Value': {},
  'google.protobuf.Empty': { type: 'object' },
};

const integer = (format: string) => ({ type: 'integer', format });
/** 64-bit numbers are strings: JSON's numbers lose precision past 2^53. */
const longInteger = (format: string) => ({ type: 'string', format, pattern: '^-?[0-9]+$' });

const scalarSchemas: Readonly<Record<ScalarType, JsonSchema>> = {
  [ScalarType.STRING]: { type: 'string' },
  [ScalarType.BYTES]: { type: 'string', contentEncoding: 'base64' },
  [ScalarType.BOOL]: { type: 'boolean' },
  [ScalarType.DOUBLE]: { type: 'number', format: 'double' },
  [ScalarType.FLOAT]: { type: 'number', format: 'float' },
  [ScalarType.INT32]: integer('int32'),
  [ScalarType.SINT32]: integer('int32'),
  [ScalarType.SFIXED32]: integer('int32'),
  [ScalarType.UINT32]: { ...integer('uint32'), minimum: 0 },
  [ScalarType.FIXED32]: { ...integer('uint32'), minimum: 0 },
  [ScalarType.INT64]: longInteger('int64'),
  [ScalarType.SINT64]: longInteger('int64'),
  [ScalarType.SFIXED64]: longInteger('int64'),
  [ScalarType.UINT64]: { ...longInteger('uint64'), pattern: '^[0-9]+$' },
  [ScalarType.FIXED64]: { ...longInteger('uint64'), pattern: '^[0-9]+$' },
};

function enumSchema(type: DescEnum): JsonSchema {
  return { type: 'string', enum: type.values.map((value) => value.name) };
}

/** What `validate.rules` say in the words of JSON Schema. */
function constraintsOf({ type }: FieldRules): JsonSchema {
  switch (type.case) {
    case 'string':
      return {
        ...positive('minLength', type.value.minLen),
        ...positive('maxLength', type.value.maxLen),
        ...(type.value.wellKnown.case === 'email' && { format: 'email' }),
      };
    case 'repeated':
      return { ...positive('minItems', type.value.minItems), ...positive('maxItems', type.value.maxItems) };
    case 'uint32':
      return { ...positive('minimum', type.value.gte), ...positive('maximum', type.value.lte) };
    default:
      return {};
  }
}

function positive(keyword: string, value: bigint | number | undefined): JsonSchema {
  return value === undefined || Number(value) === 0 ? {} : { [keyword]: Number(value) };
}
