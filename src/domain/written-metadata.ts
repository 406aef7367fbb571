import { type EventMetadata, eventMetadataSchema } from './event-metadata.ts';
import { unescaped, withinText } from './written-json.ts';

const text = `${unescaped}+`;
const { pattern } = eventMetadataSchema.shape.occurredAt._zod.def;
const dateTime = pattern && withinText(pattern);
const editor = `{"userId":"(${text})","organizationId":"${text}"}`;
const origin = `{"address":"${unescaped}{1,64}"(?:,"userAgent":"${unescaped}{1,256}")?}`;

/** All of the text of metadata, with members in the order in which Keyturn writes them. */
const written = new RegExp(
  String.raw`^{"schemaVersion":([1-9]\d{0,8}),"occurredAt":"(${dateTime})","editor":(?:null|${editor})` +
    String.raw`(?:,"origin":${origin})?,"\$correlationId":"(${text})","\$causationId":"(${text})"` +
    `,"previousHash":(?:null|"${text}")}$`,
);

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
