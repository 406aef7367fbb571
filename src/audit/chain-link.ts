import { eventCatalogue } from '../domain/event-catalogue.ts';
import { canonicalOrder, needsNoEscape } from '../domain/written-json.ts';
import { canonicalMetadata } from '../domain/written-metadata.ts';
import { type ChainedEvent, hashOfCanonical, hashOfEvent } from '../eventstore/hash-chain.ts';
import { type StoredEvent, toChainedEvent } from '../eventstore/sqlite/stored-events.ts';
import { previousHashOf } from './log-fault.ts';

/** What a verification looks at of each event. */
export interface ChainLink extends Pick<ChainedEvent, 'stream' | 'revision' | 'position'> {
  /** As the event carries it. */
  readonly previousHash: unknown;
  /**
   * See {@link hashOfEvent}.
   *
   * @throws TypeError, RangeError it has none
   */
  hash(): string;
  /** All of it, for who has to look closer. */
  event(): ChainedEvent;
}

export function linkOfEvent(event: ChainedEvent): ChainLink {
  const { stream, revision, position } = event;
  return {
    ...{ stream, revision, position, previousHash: previousHashOf(event) },
    hash: () => hashOfEvent(event),
    event: () => event,
  };
}

/**
 * The link of an event as the file holds it. Where it is in the very form in which Keyturn writes events, which tells that nothing is in it
 * twice, and no number or text in another way, its canonical JSON is put together from parts of that: parsing and writing it would take
 * most of the time of a verification.
 *
 * @throws UnreadableEventError its data or metadata is not JSON
 */
export function linkOfStored(stored: StoredEvent): ChainLink {
  const { stream, revision, position, id, type } = stored;
  const data = canonicalData(type, stored.data);
  const metadata = data && needsNoEscape(`${id}${stream}`) ? canonicalMetadata(stored.metadata) : undefined;
  if (data === undefined || metadata === undefined) return linkOfEvent(toChainedEvent(stored));
  return {
    ...{
      stream,
      revision: BigInt(revision),
      position: BigInt(position),
      previousHash: metadata.previousHash,
    },
    hash: () => hashOfCanonical({ stream, revision, id, type, data, metadata: metadata.json }),
    event: () => toChainedEvent(stored),
  };
}

/** By type. Those of today's schemas: what older ones wrote in another form is parsed. */
const orders = new Map<string, ReturnType<typeof canonicalOrder>>();
for (const [type, { data }] of Object.entries(eventCatalogue)) orders.set(type, canonicalOrder(data));

function canonicalData(type: string, json: string): string | undefined {
  return orders.get(type)?.(json);
}
