import fc from 'fast-check';

/** What is nearly what a schema wants. */
export const nearValues: readonly unknown[] = [
  ...[0, -0, 1, -1, 1.5, 1e-7, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e308, 20, 21, 31_622_400, 31_622_401],
  ...['', ' ', '0', '-1', '1.0', '١', '1\n', 'true', 'bearer', 'user', '\ud800', 'x'.repeat(257)],
  ...['😀'.repeat(32), '😀'.repeat(33), '😀'.repeat(128), '😀'.repeat(129)],
  ...['2026-02-28T23:59:59.999Z', '2026-02-29T00:00:00.000Z', '2024-02-29T00:00:00.000Z'],
  ...['1900-02-29T00:00:00.000Z', '2000-02-29T00:00:00.000Z', '2026-04-31T00:00:00.000Z'],
  ...['2026-01-01T24:00:00.000Z', '2026-01-01T00:00:60.000Z', '2026-13-01T00:00:00.000Z'],
  ...['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.0000Z', '2026-01-01T00:00:00.000+00:00'],
  ...['2026-01-01 00:00:00.000Z', '2026-01-01t00:00:00.000z', '2026-01-01T00:00:00.000Z\n'],
  ...[true, false, null, undefined, Number.NaN, [], {}, [null], [''], [[]], { length: 1 }, ['a', 'a']],
];

const nearValue = fc.oneof(
  { arbitrary: fc.jsonValue(), weight: 1 },
  { arbitrary: fc.constantFrom(...nearValues), weight: 3 },
);

const nearKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'length', 'secretId', 'expiresAt', 'origin', '0'),
  fc.string(),
);

/** What happens to one of the places in a value. */
const edit = fc.record({
  place: fc.nat(30),
  change: fc.oneof(
    nearValue.map((value) => ({ kind: 'replace', value }) as const),
    fc.constant({ kind: 'remove' } as const),
    fc.tuple(nearKey, nearValue).map(([key, value]) => ({ kind: 'add', key, value }) as const),
  ),
});
export const edits = fc.array(edit, { maxLength: 3 });
type Edits = typeof edits extends fc.Arbitrary<infer Drawn> ? Drawn : never;

/** A copy of `value` that is nearly the same. */
export function edited(value: unknown, todo: Edits): unknown {
  const root: Record<string, unknown> = { value: structuredClone(value) };
  for (const { place, change } of todo) {
    const places = placesIn(root);
    const [parent, key] = places[place % places.length] ?? [root, 'value'];
    if (change.kind === 'replace') setMember(parent, key, change.value);
    else if (change.kind === 'add') addMember(parent[key], change.key, change.value);
    else if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else Reflect.deleteProperty(parent, key);
  }
  return root['value'];
}

function addMember(to: unknown, key: string, value: unknown): void {
  if (Array.isArray(to)) to.push(structuredClone(value));
  else if (typeof to === 'object' && to !== null) setMember(to, key, value);
}

/** As `JSON.parse` does it: `__proto__` is a member like any other. */
function setMember(parent: object, key: string, value: unknown): void {
  const member = structuredClone(value);
  Object.defineProperty(parent, key, { value: member, enumerable: true, configurable: true, writable: true });
}

function placesIn(parent: object): [parent: Record<string, unknown>, key: string][] {
  return Object.entries(parent).flatMap(([key, value]) => [
    [parent as Record<string, unknown>, key],
    ...(typeof value === 'object' && value !== null ? placesIn(value) : []),
  ]);
}

const inserted = fc.oneof(
  fc.constantFrom('', '"', '\\', '\\"', '\\u0041', '\n', '\t', '\0', ',', '{', '}', '[', ']', '0', '-', '.'),
  fc.constantFrom(' ', '\ud800', '\udc00', '😀', '\u2028', '\u007f', 'é', 'null', '"x":1,', ',"x":1', '""'),
);
/** What happens at one place in a text. */
export const textEdit = fc.record({ at: fc.nat(), removed: fc.nat(6), inserted });

export function editedText(
  text: string,
  { at, removed, inserted }: { readonly at: number; readonly removed: number; readonly inserted: string },
): string {
  const place = at % (text.length + 1);
  return text.slice(0, place) + inserted + text.slice(place + removed);
}
