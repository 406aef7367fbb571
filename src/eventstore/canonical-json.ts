import type { Json, JsonObject } from './event-store.ts';

/**
 * RFC 8785 canonical JSON of a JSON value: keys in the order of their UTF-16 code units, numbers and strings as
 * ECMAScript writes them. For values that are JSON already, as those of events are; a test compares it with the
 * package `canonicalize`, which takes anything and is slower. Verification spends most of its time here.
 *
 * @throws TypeError a string that is not well-formed Unicode, which has no canonical form
 */
export function canonicalJson(value: Json): string {
  const ordered = inCanonicalOrder(value);
  const json = ordered === undefined ? joinedMembers(value) : JSON.stringify(ordered);
  // How a lone surrogate is written, and also a backslash before these two letters.
  if (json.includes('\\ud') && !isWellFormed(value)) {
    throw new TypeError('a string with a lone surrogate has no canonical JSON');
  }
  return json;
}

/**
 * A copy whose members are in canonical order, so that one call serializes it, faster than member by member. Undefined where
 * an object of ECMAScript cannot have that order.
 */
function inCanonicalOrder(value: Json): Json | undefined {
  if (typeof value !== 'object' || value === null) return value;
  return isArray(value) ? itemsInOrder(value) : membersInOrder(value);
}

function itemsInOrder(array: readonly Json[]): Json | undefined {
  const items: Json[] = [];
  for (const item of array) {
    const ordered = inCanonicalOrder(item);
    if (ordered === undefined) return undefined;
    items.push(ordered);
  }
  return items;
}

function membersInOrder(object: JsonObject): Json | undefined {
  const keys = Object.keys(object);
  // Integers come before all other keys, in the order of numbers.
  if (keys[0] !== undefined && startsWithDigit(keys[0])) return undefined;
  sort(keys);
  const members: { [key: string]: Json } = {};
  for (const key of keys) {
    const member = object[key];
    if (member === undefined) continue;
    const ordered = key === '__proto__' ? undefined : inCanonicalOrder(member);
    if (ordered === undefined) return undefined;
    members[key] = ordered;
  }
  return members;
}

function startsWithDigit(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}

const fewKeys = 16;

/** By insertion where there are few, as in events: that takes a fraction of the time of ECMAScript's own sort. */
function sort(keys: string[]): void {
  if (keys.length > fewKeys) {
    keys.sort();
    return;
  }
  for (let sorted = 1; sorted < keys.length; sorted++) {
    const key = keys[sorted] as string;
    let place = sorted;
    for (; place > 0 && (keys[place - 1] as string) > key; place--) keys[place] = keys[place - 1] as string;
    keys[place] = key;
  }
}

function joinedMembers(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(joinedMembers).join(',')}]`;
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${joinedMembers(member)}`);
  }
  return `{${members.join(',')}}`;
}

function isWellFormed(value: Json): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  if (isArray(value)) return value.every(isWellFormed);
  return Object.entries(value).every(([key, member]) => key.isWellFormed() && isWellFormed(member));
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
