import { UnreadableEventError } from '../eventstore/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { type ChainedEvent, hashOfEvent } from '../eventstore/hash-chain.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { type LogRange, logBatches } from './log-batches.ts';
import { faultAt, type LogFault } from './log-fault.ts';
import type { LogLeaf, LogTree } from './log-tree.ts';

export interface RangeVerification {
  readonly events: number;
  /** The first one, in log order. */
  readonly fault?: LogFault | undefined;
}

export interface VerifyRangeOptions extends LogRange {
  /** The events of the range in log order, where the caller reads them faster than the event store does. */
  readonly batches?: Iterable<readonly ChainedEvent[]>;
  /** Where given, every event that it covers must be there, as it was, and no other. */
  readonly tree?: LogTree | undefined;
  /** Told after every batch how many events there were in it. */
  readonly onProgress?: (events: number) => void;
}

/** Checks the events of a part of the log against the hash chains of their streams, and against the log tree. */
export async function verifyRange(
  eventStore: EventStore,
  { batches, tree, onProgress, ...range }: VerifyRangeOptions,
): Promise<RangeVerification> {
  const chain = new ChainVerifier(eventStore);
  const covered = tree && new CoveredEvents(tree, range.after ?? 0n, range.until);
  let events = 0;
  try {
    for await (const batch of batches ?? logBatches(eventStore, range)) {
      for (const event of batch) {
        const found = faultOf(event, chain, covered);
        // Waiting costs time: only for the few that need another look.
        const fault = found === 'unlinked' ? await chain.examine(event) : found;
        if (fault !== undefined) return { events, fault };
        events++;
      }
      onProgress?.(batch.length);
    }
    return { events, fault: covered?.rest() };
  } catch (error) {
    if (!(error instanceof UnreadableEventError)) throw error;
    return { events, fault: faultAt('unreadable', error, 'its data or metadata is not JSON') };
  }
}

/** `unlinked`: the event does not fit what was seen of its stream, or nothing was. */
function faultOf(
  event: ChainedEvent,
  chain: ChainVerifier,
  covered: CoveredEvents | undefined,
): LogFault | 'unlinked' | undefined {
  let hash: string;
  try {
    hash = hashOfEvent(event);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    return faultAt('unreadable', event, `it cannot be hashed: ${error.message}`);
  }
  const fault = covered?.faultOf(event, hash);
  if (fault !== undefined) return fault;
  return chain.fits(event, hash) ? undefined : 'unlinked';
}

/** Walks along the leaves of the tree while the events of the log go by. */
class CoveredEvents {
  readonly #leaves: Iterator<LogLeaf>;
  readonly #until: bigint;
  #next: LogLeaf | undefined;

  constructor(tree: LogTree, after: bigint, until: bigint | undefined) {
    const last = tree.lastLeaf()?.position ?? 0n;
    this.#until = until === undefined || until > last ? last : until;
    this.#leaves = tree.leavesFrom(tree.indexAfter(after), tree.indexAfter(this.#until));
    this.#advance();
  }

  faultOf(event: ChainedEvent, eventHash: string): LogFault | undefined {
    if (event.position > this.#until) return this.rest();
    const leaf = this.#next;
    if (leaf === undefined || leaf.position > event.position) {
      return faultAt('inserted', event, 'the log tree has no event there');
    }
    if (leaf.position < event.position) return missing(leaf);
    if (leaf.eventHash !== eventHash) return faultAt('changed', event, 'the log tree has another hash of it');
    this.#advance();
    return undefined;
  }

  /** The first event that did not come. */
  rest(): LogFault | undefined {
    return this.#next && missing(this.#next);
  }

  #advance(): void {
    this.#next = this.#leaves.next().value as LogLeaf | undefined;
  }
}

function missing({ position }: LogLeaf): LogFault {
  return { kind: 'missing', position, reason: 'the log tree has an event there' };
}
