import type { Json } from './event-store.ts';

/**
 * RFC 8785 canonical JSON of a JSON value: keys in the order of their UTF-16 code units, numbers and strings as
 * ECMAScript writes them. For values that are JSON already, as those of events are; a test compares it with the
 * package `canonicalize`, which takes anything and is half as fast. Verification spends most of its time here.
 *
 * @throws TypeError a string that is not well-formed Unicode, which has no canonical form
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return canonicalString(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  let members = '';
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${canonicalString(key)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}

function canonicalString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('a string with a lone surrogate has no canonical JSON');
  return JSON.stringify(text);
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
