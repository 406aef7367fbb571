import type { FeedBatch } from '../../subscriptions/event-feed.ts';
import { type EventSelection, isSelected } from '../../subscriptions/feed-event.ts';

/** What is told of a batch, and how. */
export interface EventTextForm {
  readonly selection: EventSelection;
  /** Behind the position in each id. */
  readonly idSuffix: string;
}

/** Batches as server-sent events: filtered and encoded once for all streams that want the same of them. */
export class EventTexts {
  readonly #texts = new WeakMap<FeedBatch, Map<string, string>>();

  /**
   * Empty where nothing of the batch is wanted.
   *
   * @param formKey the same for equal forms
   */
  textOf(batch: FeedBatch, form: EventTextForm, formKey: string): string {
    // The ids of such a stream are its own: nobody else wants the same text.
    if (form.idSuffix !== '') return encode(batch, form);
    const texts = this.#texts.get(batch) ?? new Map<string, string>();
    this.#texts.set(batch, texts);
    const text = texts.get(formKey) ?? encode(batch, form);
    texts.set(formKey, text);
    return text;
  }
}

/** An event as server-sent events are written. */
export function eventText(position: bigint | number, json: string, idSuffix: string): string {
  return `id: ${position}${idSuffix}\ndata: ${json}\n\n`;
}

function encode({ events }: FeedBatch, { selection, idSuffix }: EventTextForm): string {
  const selected = events.filter((event) => isSelected(event, selection));
  const messages = selected.map(({ position, json }) => eventText(position, json, idSuffix));
  return messages.join('');
}
