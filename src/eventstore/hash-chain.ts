import { hash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';
import type { RecordedEvent } from './event-store.ts';

/** An event without when its store wrote it, which nothing vouches for. */
export type ChainedEvent = Omit<RecordedEvent, 'recordedAt'>;

/** An event without what belongs to the store that it is in. */
export type HashedEvent = Omit<ChainedEvent, 'position'>;

/**
 * SHA-256, in base64url, over the RFC 8785 canonical JSON of
 * `{ stream, revision, id, type, data, metadata }`, the revision as a decimal string.
 *
 * Each event carries the hash of the event before it in its stream as `metadata.previousHash` (the first event:
 * null), so every stream is a chain that breaks at the first event that was changed, removed, inserted or moved.
 * Position and recording time belong to a store, not to the event, and are not part of it: a copy in another
 * store keeps its chain.
 */
export function hashOfEvent({ stream, revision, id, type, data, metadata }: HashedEvent): string {
  return hash(
    'sha256',
    // In canonical order already, so that nothing is left to sort.
    canonicalJson({ data, id, metadata, revision: String(revision), stream, type }),
    'base64url',
  );
}

/** An event with its data and metadata as JSON. */
export interface EventTexts {
  readonly stream: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
}

/**
 * The same hash as {@link hashOfEvent}.
 *
 * @param event with canonical JSON, and nothing in its other texts that JSON escapes
 */
export function hashOfCanonical({ stream, revision, id, type, data, metadata }: EventTexts): string {
  return hash(
    'sha256',
    `{"data":${data},"id":"${id}","metadata":${metadata},"revision":"${revision}","stream":"${stream}","type":"${type}"}`,
    'base64url',
  );
}
