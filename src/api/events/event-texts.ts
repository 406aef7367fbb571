import type { FeedBatch } from '../../subscriptions/event-feed.ts';
import { type EventSelection, type FeedEvent, isSelected } from '../../subscriptions/feed-event.ts';

/** Batches as server-sent events: filtered and encoded once for all streams that want the same of them. */
export class EventTexts {
  readonly #texts = new WeakMap<FeedBatch, Map<string, Buffer>>();

  /** Empty where nothing of the batch is wanted. */
  textOf(batch: FeedBatch, selection: EventSelection, selectionKey: string): Buffer {
    const texts = this.#texts.get(batch) ?? new Map<string, Buffer>();
    this.#texts.set(batch, texts);
    const text = texts.get(selectionKey) ?? encode(batch.events, selection);
    texts.set(selectionKey, text);
    return text;
  }
}

function encode(events: readonly FeedEvent[], selection: EventSelection): Buffer {
  const selected = events.filter((event) => isSelected(event, selection));
  return Buffer.from(selected.map(({ position, json }) => `id: ${position}\ndata: ${json}\n\n`).join(''));
}
