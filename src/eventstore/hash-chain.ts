import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { RecordedEvent } from './event-store.ts';

/**
 * SHA-256, in base64url, over the RFC 8785 canonical JSON of
 * `{ stream, revision, id, type, data, metadata }`, the revision as a decimal string.
 *
 * Each event carries the hash of the event before it in its stream as `metadata.previousHash` (the first event:
 * null), so every stream is a chain that breaks at the first event that was changed, removed, inserted or moved.
 * Position and recording time belong to a store, not to the event, and are not part of it: a copy in another
 * store keeps its chain.
 */
export function hashOfEvent(event: Omit<RecordedEvent, 'position' | 'recordedAt'>): string {
  const { stream, revision, id, type, data, metadata } = event;
  const canonical = canonicalize({ stream, revision: String(revision), id, type, data, metadata });
  if (canonical === undefined) throw new TypeError(`event ${id} is not JSON`);
  return createHash('sha256').update(canonical).digest('base64url');
}
