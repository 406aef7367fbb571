import type { z } from 'zod';

/** Characters that JSON holds as they are. Half of a surrogate pair is escaped, and so both halves are left out. */
export const unescaped = String.raw`[^"\\\x00-\x1f\ud800-\udfff]`;

const allUnescaped = new RegExp(`^${unescaped}*$`);

/** Whether a text between quotes is its JSON. */
export function needsNoEscape(text: string): boolean {
  return allUnescaped.test(text);
}

/** What a pattern for all of a text asks of a part of one. */
export function withinText({ source }: RegExp): string {
  return `(?:${source.replace(/^\^|\$$/g, '')})`;
}

export interface WrittenObject {
  /** With a group for each member: its JSON. */
  readonly pattern: RegExp;
  /** In the order of the groups. */
  readonly members: readonly string[];
}

/**
 * The texts of objects that fit a schema, as `JSON.stringify` writes what the schema gives. What the pattern finds need not be parsed and
 * checked; what it does not find may fit all the same: a text with escapes, or with its members in another order.
 *
 * Undefined for a schema with a rule that this does not know.
 */
export function writtenObject(schema: z.ZodType): WrittenObject | undefined {
  const { def } = (schema as z.core.$ZodType as z.core.$ZodTypes)._zod;
  if (def.type !== 'object') return undefined;
  const source = objectPattern(def, (member) => `(${member})`);
  if (source === undefined) return undefined;
  return { pattern: new RegExp(`^${source}$`), members: Object.keys(def.shape) };
}

/**
 * Puts the members of such texts into the order of RFC 8785 canonical JSON. Undefined for a schema as above. What it gives undefined for may
 * fit the schema all the same: it also leaves alone what holds objects, which have an order of their own.
 */
export function canonicalOrder(schema: z.ZodType): ((json: string) => string | undefined) | undefined {
  const { def } = (schema as z.core.$ZodType as z.core.$ZodTypes)._zod;
  const object = writtenObject(schema);
  if (def.type !== 'object' || object === undefined) return undefined;
  const { pattern, members } = object;
  const ordered = members
    .map((name, index) => ({
      begin: `${JSON.stringify(name)}:`,
      // The first group is all that was found.
      group: index + 1,
      isFlat: !holdsObject(def.shape[name] as z.core.$ZodType),
    }))
    .sort((a, b) => (a.begin < b.begin ? -1 : 1));
  return (json) => {
    const found = pattern.exec(json);
    if (found === null) return undefined;
    let text = '';
    for (const { begin, group, isFlat } of ordered) {
      const member = found[group];
      if (member === undefined) continue;
      if (!isFlat) return undefined;
      text += `${text && ','}${begin}${member}`;
    }
    return `{${text}}`;
  };
}

function holdsObject(schema: z.core.$ZodType): boolean {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === 'optional') return holdsObject(def.innerType);
  return def.type === 'object' || (def.type === 'array' && holdsObject(def.element));
}

function patternOf(schema: z.core.$ZodType): string | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'string':
      return stringPattern(def);
    case 'number':
      return isPositiveInteger(def) ? String.raw`[1-9]\d{0,14}` : undefined;
    case 'boolean':
      return oneOf([true, false], def);
    case 'literal':
      return oneOf(def.values, def);
    case 'enum':
      return oneOf(Object.values(def.entries), def);
    case 'array':
      return arrayPattern(def);
    case 'object':
      return objectPattern(def, (member) => `(?:${member})`);
    default:
      return undefined;
  }
}

function stringPattern(def: z.core.$ZodStringDef): string | undefined {
  if ('format' in def) {
    const { format, pattern, checks } = def as z.core.$ZodStringFormatDef;
    return format === 'datetime' && pattern && !checks ? `"${withinText(pattern)}"` : undefined;
  }
  const length = lengthOf(def);
  return length && `"${unescaped}${length}"`;
}

/** Of a text or an array: `+` where none may be empty. Undefined where there are other rules. */
function lengthOf({ checks = [] }: z.core.$ZodTypeDef): '*' | '+' | undefined {
  const [only, ...others] = checks.map((check) => check._zod.def);
  if (only === undefined) return '*';
  const { check, minimum } = only as z.core.$ZodCheckMinLengthDef;
  return check === 'min_length' && minimum === 1 && others.length === 0 ? '+' : undefined;
}

function isPositiveInteger(def: z.core.$ZodNumberDef): boolean {
  const [only, ...others] = (def.checks ?? []).map((check) => check._zod.def);
  const { check, value, inclusive } = (only ?? {}) as z.core.$ZodCheckGreaterThanDef;
  const isFromOneOn = check === 'greater_than' && value === 1 && inclusive && others.length === 0;
  return isFromOneOn && 'format' in def && def.format === 'safeint';
}

function oneOf(values: readonly unknown[], { checks }: z.core.$ZodTypeDef): string | undefined {
  const isKnown = values.every((value) => typeof value === 'string' || typeof value === 'boolean');
  if (checks !== undefined || !isKnown) return undefined;
  return `(?:${values.map((value) => RegExp.escape(JSON.stringify(value))).join('|')})`;
}

function arrayPattern(def: z.core.$ZodArrayDef): string | undefined {
  const length = lengthOf(def);
  const item = patternOf(def.element);
  if (length === undefined || item === undefined) return undefined;
  const items = `${item}(?:,${item})*`;
  return String.raw`\[${length === '+' ? items : `(?:${items})?`}\]`;
}

/**
 * @param group around a member
 */
function objectPattern(
  { shape, catchall, checks }: z.core.$ZodObjectDef,
  group: (member: string) => string,
): string | undefined {
  // Others than these may not be there.
  const isStrict = (catchall as z.core.$ZodTypes | undefined)?._zod.def.type === 'never';
  if (!isStrict || checks !== undefined) return undefined;
  let source = '';
  for (const [name, schema] of Object.entries(shape)) {
    const { def } = (schema as z.core.$ZodTypes)._zod;
    const isOptional = def.type === 'optional' && def.checks === undefined;
    const value = patternOf(isOptional ? def.innerType : schema);
    // No comma is before the first one: it has to be there.
    if (value === undefined || (isOptional && source === '')) return undefined;
    const member = `${source && ','}${RegExp.escape(JSON.stringify(name))}:${group(value)}`;
    source += isOptional ? `(?:${member})?` : member;
  }
  return `{${source}}`;
}
