import { UnreadableEventError } from '../eventstore/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { type ChainedEvent, hashOfEvent } from '../eventstore/hash-chain.ts';
import type { ChainLink } from './chain-link.ts';
import { diagnose, faultAt, type LogFault, previousHashOf } from './log-fault.ts';
import { StreamHeads } from './stream-heads.ts';

/**
 * Checks events, in log order, against the hash chains of their streams. It can begin anywhere in the log. Where the head of a stream
 * is not in memory, the event before is read again: slower, but memory stays flat.
 */
export class ChainVerifier {
  readonly #eventStore: EventStore;
  readonly #heads = new StreamHeads();

  constructor(eventStore: EventStore) {
    this.#eventStore = eventStore;
  }

  /**
   * Whether the event fits what was seen of its stream. When it does not, or nothing was seen, `examine` tells.
   *
   * @param hash of the event itself: base64url, as its successor carries it
   */
  fits({ stream, revision, previousHash }: ChainLink, hash: string): boolean {
    const follows = this.#heads.add(stream, revision, hash, previousHash);
    return revision === 0n ? previousHash === null : follows;
  }

  /** Compares the event with its neighbours as the store has them. */
  async examine(event: ChainedEvent): Promise<LogFault | undefined> {
    const { stream, revision, position } = event;
    if (revision === 0n) return previousHashOf(event) === null ? undefined : this.#diagnose(event);
    const before = await this.#eventAt(stream, revision - 1n);
    if (before === undefined) {
      return { kind: 'missing', stream, revision: revision - 1n, reason: `revision ${revision} is there` };
    }
    if (before.position > position) {
      return faultAt('reordered', event, `it comes before revision ${revision - 1n} in the log`);
    }
    if (before instanceof UnreadableEventError) throw before;
    return hashOfEvent(before) === previousHashOf(event) ? undefined : this.#diagnose(event, before);
  }

  async #diagnose(event: ChainedEvent, before?: ChainedEvent): Promise<LogFault> {
    const after = await this.#eventAt(event.stream, event.revision + 1n);
    // One that cannot be read tells nothing about those before it.
    return diagnose({ before, event, after: after instanceof UnreadableEventError ? undefined : after });
  }

  /** Where it stands is known also of an event that cannot be read. */
  async #eventAt(stream: string, revision: bigint): Promise<ChainedEvent | UnreadableEventError | undefined> {
    try {
      for await (const event of this.#eventStore.readStream(stream, { from: revision, limit: 1 })) {
        return event.revision === revision ? event : undefined;
      }
      return undefined;
    } catch (error) {
      if (error instanceof UnreadableEventError) return error;
      throw error;
    }
  }
}
