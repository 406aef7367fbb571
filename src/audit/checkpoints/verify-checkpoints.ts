import { UnreadableEventError } from '../../eventstore/errors.ts';
import type { EventStore, RecordedEvent } from '../../eventstore/event-store.ts';
import { hashOfEvent } from '../../eventstore/hash-chain.ts';
import { AuditError } from '../audit-error.ts';
import { logBatches } from '../log-batches.ts';
import { leafHash, MerkleFrontier } from '../merkle-tree.ts';
import { openCheckpoint, type TreeHead } from './checkpoint.ts';
import type { NoteVerifier } from './signed-note.ts';

export interface GivenCheckpoint {
  /** Where it comes from, for people. */
  readonly source: string;
  readonly text: string;
}

export interface CheckpointVerification {
  readonly source: string;
  /** How many events it covers. Absent where it cannot be read. */
  readonly size?: number;
  /** What is wrong: with the checkpoint, or with the log that it is of. */
  readonly fault?: string;
}

/** The root of the tree over the first `size` events, or why there is none: they are not so many, or one cannot be read. */
export type RootAt = (size: number) => Promise<Buffer | 'too few' | 'unreadable'>;

/** Compares the log with a checkpoint that someone kept: a log that only grew still begins with what it covers. */
export async function verifyCheckpoint(
  { source, text }: GivenCheckpoint,
  verifier: NoteVerifier | undefined,
  rootAt: RootAt,
): Promise<CheckpointVerification> {
  if (verifier === undefined)
    return { source, fault: 'no key that checkpoints are signed with can be read in the log' };
  let head: TreeHead;
  try {
    head = openCheckpoint(text, verifier);
  } catch (error) {
    if (error instanceof AuditError) return { source, fault: error.message };
    throw error;
  }
  const { size } = head;
  const root = await rootAt(size);
  if (root === 'too few')
    return { source, size, fault: `the log was cut off: it does not hold ${size} events` };
  if (root === 'unreadable') {
    const reason = `one of the first ${size} events of the log cannot be read`;
    return { source, size, fault: `it cannot be compared: ${reason}` };
  }
  if (!root.equals(head.root)) {
    return { source, size, fault: `the first ${size} events of the log are not those that it covers` };
  }
  return { source, size };
}

/** The root by the log alone. Reads it up to there. */
export async function rootOfLog(eventStore: EventStore, size: number): ReturnType<RootAt> {
  const frontier = new MerkleFrontier();
  if (size === 0) return frontier.root();
  let leaves = 0;
  try {
    for await (const events of logBatches(eventStore)) {
      for (const event of events) {
        const leaf = leafOf(event);
        if (leaf === undefined) return 'unreadable';
        frontier.addLeaf(leaf);
        if (++leaves === size) return frontier.root();
      }
    }
  } catch (error) {
    if (error instanceof UnreadableEventError) return 'unreadable';
    throw error;
  }
  return 'too few';
}

/** Undefined where the event is JSON and has no hash, as with a lone surrogate. */
function leafOf(event: RecordedEvent): Buffer | undefined {
  try {
    return leafHash(Buffer.from(hashOfEvent(event), 'base64url'));
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return undefined;
    throw error;
  }
}
