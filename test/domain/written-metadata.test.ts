import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventMetadataSchema } from '../../src/domain/event-metadata.ts';
import { canonicalMetadata, writtenMetadata } from '../../src/domain/written-metadata.ts';
import { canonicalJson } from '../../src/eventstore/canonical-json.ts';
import { context, organizationId } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';
import { edited, edits, nearValues } from '../support/edited-values.ts';

/** As Keyturn stored them: of its own events, of a caller's, and of one whose software says what it is. */
async function writtenTexts(): Promise<string[]> {
  const { file, machineUsers } = await auditedLog();
  const caller = { ...context, editor: { userId: 'editor', organizationId } };
  const address = '192.0.2.17';
  for (const origin of [{ address }, { address, userAgent: 'terraform-provider-zitadel/2.2.0 (linux; é)' }]) {
    await machineUsers.setSecret({ userId: 'one', organizationId }, { ...caller, origin });
  }
  const db = new DatabaseSync(file, { readOnly: true });
  const rows = db.prepare('SELECT metadata FROM events').all();
  db.close();
  return rows.map(({ metadata }) => String(metadata));
}

/** What a schema makes of a text; undefined where it is none that it takes. */
function checked(json: string) {
  try {
    const { schemaVersion, occurredAt, editor, $correlationId, $causationId } = eventMetadataSchema.parse(
      JSON.parse(json),
    );
    return {
      schemaVersion,
      occurredAt,
      editorId: editor?.userId,
      correlationId: $correlationId,
      causationId: $causationId,
    };
  } catch {
    return undefined;
  }
}

/** Half of them with where the request came from: most rules are about that. */
function oneOf(texts: readonly string[]) {
  const isOfRequest = (json: string) => json.includes('"origin"');
  const ofRequests = fc.constantFrom(...texts.filter(isOfRequest));
  return fc.oneof(ofRequests, fc.constantFrom(...texts.filter((json) => !isOfRequest(json))));
}

test('what Keyturn writes is read from its text', async () => {
  const texts = await writtenTexts();
  expect(texts.filter((json) => json.includes('"origin"')).length).toBe(2);
  for (const json of texts) {
    expect(writtenMetadata(json)).toEqual(checked(json));
    compare(json);
  }
  expect(texts.map(checked)).not.toContain(undefined);
});

/** `json` must be read as the schema reads it, or left to it; and be put into canonical order where it is read. */
function compare(json: string): void {
  const read = writtenMetadata(json);
  const canonical = canonicalMetadata(json);
  if (read === undefined) {
    expect(canonical).toBeUndefined();
    return;
  }
  expect(read).toEqual(checked(json));
  const metadata = JSON.parse(json);
  expect(canonical).toEqual({ json: canonicalJson(metadata), previousHash: metadata.previousHash });
}

test('a value at a bound of the schema is read as the schema reads it, or left to it, wherever it is', async () => {
  for (const json of await writtenTexts()) {
    for (let place = 0; place < 20; place++) {
      for (const value of nearValues) {
        compare(
          JSON.stringify(edited(JSON.parse(json), [{ place, change: { kind: 'replace', value } }])) ?? '',
        );
      }
    }
  }
});

test('a text of which a part is missing is left to the schema', async () => {
  for (const json of await writtenTexts()) {
    for (let place = 0; place < json.length; place++) {
      for (let length = 1; length < 8; length++) compare(json.slice(0, place) + json.slice(place + length));
    }
  }
});

test('other metadata are read as the schema reads them, or left to it', async () => {
  const text = oneOf(await writtenTexts());
  const seen = { taken: 0, left: 0 };
  fc.assert(
    fc.property(text, edits, (json, todo) => {
      const other = JSON.stringify(edited(JSON.parse(json), todo)) ?? '';
      const read = writtenMetadata(other);
      if (read === undefined) seen.left++;
      else expect(read).toEqual(checked(other));
      if (read !== undefined && other !== json) seen.taken++;
    }),
    { numRuns: 10_000 },
  );
  expect(seen.taken).toBeGreaterThan(100);
  expect(seen.left).toBeGreaterThan(1000);
});

test('what is no JSON, or not quite the same, is left to the schema', async () => {
  const text = oneOf(await writtenTexts());
  const insert = fc.oneof(
    fc.constantFrom(
      '',
      '"',
      '\\',
      '\\"',
      '\\u0041',
      '\n',
      '\t',
      '\0',
      ',',
      '{',
      '}',
      '0',
      '-',
      '.',
      ' ',
      '\ud800',
    ),
    fc.constantFrom('null', '"x":1,', ',"x":1', ',"schemaVersion":9', '"__proto__":{},', 'T', 'Z'),
  );
  fc.assert(
    fc.property(text, fc.nat(), fc.nat(6), insert, (json, at, removed, inserted) => {
      const place = at % (json.length + 1);
      compare(json.slice(0, place) + inserted + json.slice(place + removed));
    }),
    { numRuns: 20_000 },
  );
});
