import { hash } from 'node:crypto';
import { canonicalJson } from '../../eventstore/canonical-json.ts';
import type { EventStore, Json, JsonObject, RecordedEvent } from '../../eventstore/event-store.ts';
import { AuditError } from '../audit-error.ts';
import { LogTree } from '../log-tree.ts';
import { hashLength, leafHash, rootOfInclusion } from '../merkle-tree.ts';
import { openCheckpoint } from './checkpoint.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import type { NoteVerifier } from './signed-note.ts';

const firstLine = 'c2sp.org/tlog-proof@v1';

/** What an inclusion proof says: this event is in the log, as that checkpoint has it. */
export interface ProvenEvent {
  /** As the hash chain hashes it: stream, revision (a decimal string), id, type, data and metadata. */
  readonly event: JsonObject;
  /** 0-based place in the log. */
  readonly index: number;
  /** How many events the checkpoint covers. */
  readonly size: number;
}

/** The event that `name` names: by position, by `<stream>@<revision>`, or by its id, which reads the log until it is found. */
export async function findEvent(eventStore: EventStore, name: string): Promise<RecordedEvent> {
  const inStream = /^(.+)@(\d{1,18})$/.exec(name);
  const byId = name.toLowerCase();
  const candidates = /^\d{1,18}$/.test(name)
    ? eventStore.readAll({ after: BigInt(name) - 1n, limit: 1 })
    : inStream
      ? eventStore.readStream(inStream[1] ?? '', { from: BigInt(inStream[2] ?? 0), limit: 1 })
      : eventStore.readAll();
  for await (const event of candidates) {
    const { stream, revision, position, id } = event;
    if ([String(position), `${stream}@${revision}`].includes(name) || id === byId) return event;
  }
  throw new AuditError(
    `there is no event ${name}: name it by position, by <stream>@<revision>, or by its id`,
  );
}

/**
 * Proves that an event is in the log, for someone who has the log's verifier key and nothing else (c2sp.org/tlog-proof).
 * The event itself is the proof's extra data.
 *
 * @throws AuditError no checkpoint covers the event
 */
export function proveInclusion(treeFolder: string, event: RecordedEvent, verifier: NoteVerifier): string {
  const checkpoint = new CheckpointFile(treeFolder).read();
  const tree = LogTree.openReadOnly(treeFolder);
  if (checkpoint === undefined || tree === undefined) {
    throw new AuditError('this instance has signed no checkpoint yet');
  }
  try {
    const { size } = openCheckpoint(checkpoint, verifier);
    const index = tree.indexAfter(event.position - 1n);
    if (index >= size)
      throw new AuditError('the last checkpoint does not cover the event yet: wait for the next one');
    const path = tree.inclusionPath(index, size).map((node) => `${node.toString('base64')}\n`);
    const extra = Buffer.from(canonicalJson(hashedPart(event))).toString('base64');
    return `${firstLine}\nextra ${extra}\nindex ${index}\n${path.join('')}\n${checkpoint}`;
  } finally {
    tree.close();
  }
}

/** What of an event is hashed, see `hashOfEvent`. */
function hashedPart({ stream, revision, id, type, data, metadata }: RecordedEvent): JsonObject {
  return { stream, revision: String(revision), id, type, data, metadata };
}

/** @throws AuditError it proves nothing: it is not readable, or does not lead to a checkpoint that `verifier` signed */
export function verifyInclusion(proof: string, verifier: NoteVerifier): ProvenEvent {
  const end = proof.indexOf('\n\n');
  const [first, extra = '', indexLine = '', ...path] = proof.slice(0, end).split('\n');
  const index = /^index (0|[1-9]\d{0,14})$/.exec(indexLine)?.[1];
  if (end < 0 || first !== firstLine || !extra.startsWith('extra ') || index === undefined) {
    throw new AuditError(
      'it is not a proof that keyturn prove wrote (c2sp.org/tlog-proof@v1 with the event as extra)',
    );
  }
  const event = parseEvent(Buffer.from(extra.slice('extra '.length), 'base64').toString());
  const { size, root } = openCheckpoint(proof.slice(end + 2), verifier);
  const nodes = path.map((node) => Buffer.from(node, 'base64'));
  const leaf = leafHash(hash('sha256', canonicalJson(event), 'buffer'));
  const isWhole = nodes.every((node) => node.length === hashLength);
  if (!isWhole || !rootOfInclusion(leaf, Number(index), size, nodes)?.equals(root)) {
    throw new AuditError('the event is not in the log that the checkpoint is of, or not as it is shown here');
  }
  return { event, index: Number(index), size };
}

function parseEvent(text: string): JsonObject {
  try {
    const event = JSON.parse(text) as Json;
    if (typeof event === 'object' && event !== null && !Array.isArray(event)) return event as JsonObject;
  } catch {
    // Said below.
  }
  throw new AuditError('the event in the proof is not readable');
}
