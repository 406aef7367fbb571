import { type EventMetadata, eventMetadataSchema } from './event-metadata.ts';
import { unescaped, withinText } from './written-json.ts';

const text = `${unescaped}+`;
const { pattern } = eventMetadataSchema.shape.occurredAt._zod.def;
const dateTime = pattern && withinText(pattern);

/**
 * All of the text of metadata, with members in the order in which Keyturn writes them.
 *
 * @param whole with groups for all that is in it, and not only for what a reader of events needs
 */
function formOf({ whole }: { readonly whole: boolean }): RegExp {
  const rest = (part: string) => (whole ? `(${part})` : `(?:${part})`);
  const editor = `{"userId":"(${text})","organizationId":"${rest(text)}"}`;
  const origin = `{"address":"${unescaped}{1,64}"(?:,"userAgent":"${unescaped}{1,256}")?}`;
  return new RegExp(
    String.raw`^{"schemaVersion":([1-9]\d{0,8}),"occurredAt":"(${dateTime})","editor":(?:null|${editor})` +
      String.raw`(?:,"origin":${rest(origin)})?,"\$correlationId":"(${text})","\$causationId":"(${text})"` +
      `,"previousHash":(?:null|"${rest(text)}")}$`,
  );
}

const written = formOf({ whole: false });
const writtenWhole = formOf({ whole: true });

/** Nothing in these texts has to be escaped in JSON. */
export interface WrittenMetadata extends Pick<EventMetadata, 'schemaVersion' | 'occurredAt'> {
  /** Undefined where Keyturn itself caused the event. */
  readonly editorId: string | undefined;
  readonly correlationId: string;
  readonly causationId: string;
}

/**
 * Metadata that are stored as `json`, where they are in the very form in which Keyturn writes them: in less than half of the time that it
 * takes to parse and to check them. Undefined for others, which may be right too: `eventMetadataSchema` says so.
 */
export function writtenMetadata(json: string): WrittenMetadata | undefined {
  const found = written.exec(json);
  if (found === null) return undefined;
  const [, schemaVersion = '', occurredAt = '', editorId, correlationId = '', causationId = ''] = found;
  return { schemaVersion: Number(schemaVersion), occurredAt, editorId, correlationId, causationId };
}

/** Metadata as RFC 8785 canonical JSON, with what they say of the event before. */
export interface CanonicalMetadata {
  readonly json: string;
  readonly previousHash: string | null;
}

/** As {@link writtenMetadata}: the same metadata with their members in canonical order, put together as text. */
export function canonicalMetadata(json: string): CanonicalMetadata | undefined {
  const found = writtenWhole.exec(json);
  if (found === null) return undefined;
  const [, schemaVersion, occurredAt, userId, organizationId, origin, correlationId, causationId, previous] =
    found;
  const editor =
    userId === undefined ? 'null' : `{"organizationId":"${organizationId}","userId":"${userId}"}`;
  const previousHash = previous === undefined ? 'null' : `"${previous}"`;
  return {
    json:
      `{"$causationId":"${causationId}","$correlationId":"${correlationId}","editor":${editor},` +
      `"occurredAt":"${occurredAt}",${origin === undefined ? '' : `"origin":${origin},`}` +
      `"previousHash":${previousHash},"schemaVersion":${schemaVersion}}`,
    previousHash: previous ?? null,
  };
}
