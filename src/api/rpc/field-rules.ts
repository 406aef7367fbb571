import { type DescField, type DescMessage, getOption, hasOption, type Message } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import { required, rules } from '@zitadel/proto/validate/validate_pb.js';
import { KeyturnError } from '../../domain/errors.ts';

/** Says what is wrong with a field's value, or nothing. */
type Check = (value: unknown) => string | undefined;

interface FieldCheck {
  readonly field: DescField;
  readonly check: Check;
}

/**
 * Compiles the rules in a request's descriptor (protoc-gen-validate's `validate.rules`) into a check.
 *
 * The check throws KeyturnError `FIELD_INVALID` with protoc-gen-validate's text, which names message and field.
 *
 * @throws TypeError at once for a kind of rule that is not supported, so that none is passed over in silence
 */
export function compileFieldRules(schema: DescMessage): (request: Message) => void {
  const fieldChecks = schema.fields.flatMap(compileField);
  const requiredOneofs = schema.oneofs.filter(
    (oneof) => hasOption(oneof, required) && getOption(oneof, required),
  );

  return (request) => {
    const message = reflect(schema, request);
    for (const { field, check } of fieldChecks) {
      const fault = isChecked(message, field) ? check(message.get(field)) : undefined;
      if (fault !== undefined) throw invalid(schema, field.localName, fault);
    }
    for (const oneof of requiredOneofs) {
      if (message.oneofCase(oneof) === undefined) throw invalid(schema, oneof.localName, 'value is required');
    }
  };
}

/** A field that can be absent, and is, has no value to check. */
function isChecked(message: ReflectMessage, field: DescField): boolean {
  return field.presence === FeatureSet_FieldPresence.IMPLICIT || message.isSet(field);
}

function invalid(schema: DescMessage, localName: string, fault: string): KeyturnError {
  const goName = localName.charAt(0).toUpperCase() + localName.slice(1);
  return new KeyturnError('FIELD_INVALID', { text: `invalid ${schema.name}.${goName}: ${fault}` });
}

function compileField(field: DescField): FieldCheck[] {
  if (field.message?.fields.some((inner) => hasOption(inner, rules)) === true) {
    throw unsupported(field, 'of an embedded message');
  }
  if (!hasOption(field, rules)) return [];
  const { type } = getOption(field, rules);
  switch (type.case) {
    case 'string': {
      const { minLen, maxLen, ...rest } = type.value;
      requireNoOther(field, rest);
      return [{ field, check: lengthCheck(bound(minLen), bound(maxLen)) }];
    }
    case 'enum': {
      const { definedOnly, notIn, ...rest } = type.value;
      requireNoOther(field, rest);
      return [
        ...(definedOnly ? [{ field, check: definedCheck(field) }] : []),
        ...(notIn.length > 0 ? [{ field, check: notInCheck(notIn) }] : []),
      ];
    }
    case undefined:
      return [];
    default:
      throw unsupported(field, type.case);
  }
}

/** Lengths count Unicode characters, as Go's runes do. */
function lengthCheck(min: number | undefined, max: number | undefined): Check {
  return (value) => {
    const length = [...String(value)].length;
    if ((min === undefined || length >= min) && (max === undefined || length <= max)) return undefined;
    if (min === undefined) return `value length must be at most ${max} runes`;
    if (max === undefined) return `value length must be at least ${min} runes`;
    return `value length must be between ${min} and ${max} runes, inclusive`;
  };
}

function definedCheck(field: DescField): Check {
  const numbers = new Set(field.enum?.values.map((value) => value.number));
  return (value) => (numbers.has(Number(value)) ? undefined : 'value must be one of the defined enum values');
}

function notInCheck(excluded: readonly number[]): Check {
  return (value) =>
    excluded.includes(Number(value)) ? `value must not be in list [${excluded.join(' ')}]` : undefined;
}

/** Bounds that a descriptor leaves out are absent, not zero. */
function bound(value: bigint | undefined): number | undefined {
  return value === undefined || value === 0n ? undefined : Number(value);
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

function unsupported(field: DescField, rule: string): TypeError {
  return new TypeError(`${field.parent.name}.${field.name} has the rule ${rule}, which is not supported`);
}
