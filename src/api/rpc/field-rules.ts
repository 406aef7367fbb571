import {
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  hasOption,
  type Message,
} from '@bufbuild/protobuf';
import { type ReflectList, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import { type FieldRules, required, rules } from '@zitadel/proto/validate/validate_pb.js';
import { z } from 'zod';
import { KeyturnError } from '../../domain/errors.ts';

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | undefined;
/** Says what is wrong with a field's value, with how it follows the field's name, or nothing. `value` may be absent. */
type FieldCheck = (value: unknown, isSet: boolean) => string | undefined;
/** Says what is wrong with a message, naming message and field, or nothing. */
type MessageCheck = (message: ReflectMessage) => string | undefined;

/**
 * Compiles the rules in a request's descriptor (protoc-gen-validate's `validate.rules`), and in those of the messages
 * that it holds, into a check.
 *
 * The check throws KeyturnError `FIELD_INVALID` with protoc-gen-validate's text, which names message and field.
 *
 * @throws TypeError at once for a kind of rule that is not supported, so that none is passed over in silence
 */
export function compileFieldRules(schema: DescMessage): (request: Message) => void {
  const check = new MessageChecks().checkOf(schema);
  return (request) => {
    const fault = check(reflect(schema, request));
    if (fault !== undefined) throw new KeyturnError('FIELD_INVALID', { text: fault });
  };
}

/** The checks of messages that may hold each other. */
class MessageChecks {
  readonly #compiled = new Map<string, MessageCheck>();

  checkOf(schema: DescMessage): MessageCheck {
    const known = this.#compiled.get(schema.typeName);
    if (known !== undefined) return known;
    // Set before its fields are compiled: one of them may be of the same type.
    let check: MessageCheck = () => undefined;
    this.#compiled.set(schema.typeName, (message) => check(message));
    check = this.#compile(schema);
    return check;
  }

  #compile(schema: DescMessage): MessageCheck {
    const checks = [
      ...schema.fields.filter((field) => field.oneof === undefined).flatMap((field) => this.#field(field)),
      ...schema.oneofs.flatMap((oneof) => [
        ...oneof.fields.flatMap((field) => this.#field(field)),
        ...requiredOneof(oneof),
      ]),
    ];
    return (message) => {
      for (const check of checks) {
        const fault = check(message);
        if (fault !== undefined) return `invalid ${goTypeName(schema)}.${fault}`;
      }
      return undefined;
    };
  }

  /** Gives `Field: what is wrong`. */
  #field(field: DescField): MessageCheck[] {
    const checks = [...fieldRuleChecks(field), ...this.#contentChecks(field)];
    if (checks.length === 0) return [];
    const name = goName(field.name);
    return [
      (message) => {
        const isSet = message.isSet(field);
        const value = isSet || isAlwaysChecked(field) ? message.get(field) : undefined;
        for (const check of checks) {
          const fault = check(value, isSet);
          if (fault !== undefined) return name + fault;
        }
        return undefined;
      },
    ];
  }

  /** The messages that the field holds are checked by their own rules. */
  #contentChecks(field: DescField): FieldCheck[] {
    const schema = field.message;
    if (schema === undefined || schema.typeName.startsWith('google.protobuf.')) return [];
    const check = this.checkOf(schema);
    const embedded = (value: unknown) => {
      const cause = check(value as ReflectMessage);
      return cause && `: embedded message failed validation | caused by: ${cause}`;
    };
    if (field.fieldKind === 'message') return [(value, isSet) => (isSet ? embedded(value) : undefined)];
    if (field.fieldKind !== 'list') throw unsupported(field, 'of a map');
    return [
      (value) => {
        for (const [index, item] of [...(value as ReflectList)].entries()) {
          const fault = embedded(item);
          if (fault !== undefined) return `[${index}]${fault}`;
        }
        return undefined;
      },
    ];
  }
}

function fieldRuleChecks(field: DescField): FieldCheck[] {
  if (!hasOption(field, rules)) return [];
  const { type, message } = getOption(field, rules);
  const check = valueCheck(field, type);
  return [
    ...(message?.required
      ? [(_: unknown, isSet: boolean) => (isSet ? undefined : ': value is required')]
      : []),
    ...(check === undefined ? [] : [(value: unknown) => faultOf(check, value)]),
  ];
}

function faultOf(check: Check, value: unknown): string | undefined {
  const fault = value === undefined ? undefined : check(value);
  return fault && `: ${fault}`;
}

/** A field that can be absent, and is, has no value to check. */
function isAlwaysChecked(field: DescField): boolean {
  return field.presence === FeatureSet_FieldPresence.IMPLICIT;
}

function valueCheck(field: DescField, type: FieldRules['type']): Check | undefined {
  switch (type.case) {
    case 'string': {
      const { minLen, maxLen, wellKnown, ...rest } = type.value;
      requireNoOther(field, rest);
      const length = lengthCheck(bound(minLen), bound(maxLen), 'runes', (value) => [...String(value)].length);
      if (wellKnown.case === undefined) return length;
      if (wellKnown.case !== 'email') throw unsupported(field, wellKnown.case);
      return (value) => length(value) ?? emailFault(value);
    }
    case 'bytes': {
      const { minLen, maxLen, ...rest } = type.value;
      requireNoOther(field, rest);
      return lengthCheck(bound(minLen), bound(maxLen), 'bytes', (value) => (value as Uint8Array).length);
    }
    case 'enum': {
      const { definedOnly, notIn, ...rest } = type.value;
      requireNoOther(field, rest);
      return enumCheck(field, definedOnly ?? false, notIn);
    }
    case 'repeated': {
      const { minItems, maxItems, ...rest } = type.value;
      requireNoOther(field, rest);
      return itemsCheck(bound(minItems), bound(maxItems));
    }
    case 'bool': {
      const expected = type.value.const;
      return (value) => (value === expected ? undefined : `value must equal ${expected}`);
    }
    case 'uint32':
    case 'uint64': {
      const { gte, lte, ...rest } = type.value;
      requireNoOther(field, rest);
      return rangeCheck(bound(gte), bound(lte));
    }
    case undefined:
      return undefined;
    default:
      throw unsupported(field, type.case);
  }
}

/** Lengths of text count Unicode characters, as Go's runes do. */
function lengthCheck(
  min: number | undefined,
  max: number | undefined,
  unit: string,
  lengthOf: (value: unknown) => number,
): Check {
  return (value) => {
    const length = lengthOf(value);
    if ((min === undefined || length >= min) && (max === undefined || length <= max)) return undefined;
    if (min === undefined) return `value length must be at most ${max} ${unit}`;
    if (max === undefined) return `value length must be at least ${min} ${unit}`;
    return `value length must be between ${min} and ${max} ${unit}, inclusive`;
  };
}

function emailFault(value: unknown): string | undefined {
  return z.email().safeParse(value).success ? undefined : 'value must be a valid email address';
}

function enumCheck(field: DescField, definedOnly: boolean, notIn: readonly number[]): Check {
  const defined = new Set(field.enum?.values.map((value) => value.number));
  return (value) => {
    if (definedOnly && !defined.has(Number(value))) return 'value must be one of the defined enum values';
    return notIn.includes(Number(value)) ? `value must not be in list [${notIn.join(' ')}]` : undefined;
  };
}

function itemsCheck(min: number | undefined, max: number | undefined): Check {
  return (value) => {
    const { size } = value as ReflectList;
    if (min !== undefined && size < min) return `value must contain at least ${min} item(s)`;
    if (max !== undefined && size > max) return `value must contain no more than ${max} item(s)`;
    return undefined;
  };
}

function rangeCheck(min: number | undefined, max: number | undefined): Check {
  return (value) => {
    const number = Number(value);
    if ((min === undefined || number >= min) && (max === undefined || number <= max)) return undefined;
    if (min === undefined) return `value must be less than or equal to ${max}`;
    if (max === undefined) return `value must be greater than or equal to ${min}`;
    return `value must be inside range [${min}, ${max}]`;
  };
}

function requiredOneof(oneof: DescOneof): MessageCheck[] {
  if (!(hasOption(oneof, required) && getOption(oneof, required))) return [];
  const fault = `${goName(oneof.name)}: value is required`;
  return [(message) => (message.oneofCase(oneof) === undefined ? fault : undefined)];
}

/** Bounds that a descriptor leaves out are absent, not zero. */
function bound(value: bigint | number | undefined): number | undefined {
  return value === undefined || Number(value) === 0 ? undefined : Number(value);
}

function requireNoOther(field: DescField, others: Readonly<Record<string, unknown>>): void {
  for (const [rule, value] of Object.entries(others)) {
    const isSet = rule === 'wellKnown' ? (value as { case?: string }).case !== undefined : isSetRule(value);
    if (!rule.startsWith('$') && isSet) throw unsupported(field, rule);
  }
}

function isSetRule(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** The name that Go gives a nested message: `CreateUserRequest_Machine`. */
function goTypeName(schema: DescMessage): string {
  return schema.parent === undefined ? schema.name : `${goTypeName(schema.parent)}_${schema.name}`;
}

function goName(name: string): string {
  return name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function unsupported(field: DescField, rule: string): TypeError {
  return new TypeError(`${field.parent.name}.${field.name} has the rule ${rule}, which is not supported`);
}
