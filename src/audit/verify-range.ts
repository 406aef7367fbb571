import { UnreadableEventError } from '../eventstore/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { type ChainLink, linkOfEvent } from './chain-link.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { type LogRange, logBatches } from './log-batches.ts';
import { faultAt, type LogFault } from './log-fault.ts';
import type { LogLeaf, LogTree } from './log-tree.ts';

export interface RangeVerification {
  readonly events: number;
  /** The first one, in log order. */
  readonly fault?: LogFault | undefined;
}

/** Events in log order, and how each is linked to the one before. */
export interface LinkSource<Event> {
  readonly batches: Iterable<readonly Event[]> | AsyncIterable<readonly Event[]>;
  /** @throws UnreadableEventError */
  readonly linkOf: (event: Event) => ChainLink;
}

export interface VerifyRangeOptions<Event> extends LogRange {
  /** The events of the range, where the caller reads them faster than the event store does. */
  readonly source?: LinkSource<Event>;
  /** Where given, every event that it covers must be there, as it was, and no other. */
  readonly tree?: LogTree | undefined;
  /** Told after every batch how many events there were in it. */
  readonly onProgress?: (events: number) => void;
}

/** Checks the events of a part of the log against the hash chains of their streams, and against the log tree. */
export async function verifyRange<Event>(
  eventStore: EventStore,
  { source, tree, onProgress, ...range }: VerifyRangeOptions<Event>,
): Promise<RangeVerification> {
  const covered = tree && new CoveredEvents(tree, range.after ?? 0n, range.until);
  const verification = { chain: new ChainVerifier(eventStore), covered, onProgress };
  return source === undefined
    ? verifySource({ batches: logBatches(eventStore, range), linkOf: linkOfEvent }, verification)
    : verifySource(source, verification);
}

async function verifySource<Event>(
  { batches, linkOf }: LinkSource<Event>,
  {
    chain,
    covered,
    onProgress,
  }: {
    readonly chain: ChainVerifier;
    readonly covered: CoveredEvents | undefined;
    readonly onProgress: VerifyRangeOptions<Event>['onProgress'];
  },
): Promise<RangeVerification> {
  let events = 0;
  try {
    for await (const batch of batches) {
      for (const event of batch) {
        const link = linkOf(event);
        const found = faultOf(link, chain, covered);
        // Waiting costs time: only for the few that need another look.
        const fault = found === 'unlinked' ? await chain.examine(link.event()) : found;
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
  link: ChainLink,
  chain: ChainVerifier,
  covered: CoveredEvents | undefined,
): LogFault | 'unlinked' | undefined {
  let hash: string;
  try {
    hash = link.hash();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    return faultAt('unreadable', link, `it cannot be hashed: ${error.message}`);
  }
  const fault = covered?.faultOf(link, hash);
  if (fault !== undefined) return fault;
  return chain.fits(link, hash) ? undefined : 'unlinked';
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

  faultOf(event: ChainLink, eventHash: string): LogFault | undefined {
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
