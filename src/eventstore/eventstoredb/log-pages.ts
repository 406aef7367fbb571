import type { ReadAllOptions, RecordedEvent } from '../event-store.ts';
import { InvalidPositionError } from './faults.ts';
import { type EventReader, type LogPage, positionOf, type ReadResponse, recordedEvent } from './protocol.ts';

/** How many events are asked for at once. */
export const pageSize = 512;

export type ReadPage = (page: LogPage) => Promise<readonly ReadResponse[]>;

/** The events of the log, page after page, from any position on. */
export class LogPages {
  readonly #readPage: ReadPage;
  /** Positions of events, a page apart, where reads had to search for where to begin. */
  readonly #landmarks = new Set<bigint>();

  constructor(readPage: ReadPage) {
    this.#readPage = readPage;
  }

  async *read(options: ReadAllOptions): AsyncGenerator<RecordedEvent> {
    try {
      yield* readLog(this.#readPage, options);
    } catch (error) {
      // Only where it begins can be no event: all other pages follow one.
      if (!(error instanceof InvalidPositionError) || options.after === undefined) throw error;
      yield* this.#readAround(options.after, options);
    }
  }

  /** Begins at an event before the position, and passes over what comes up to there. */
  async *#readAround(
    position: bigint,
    { direction = 'forwards', filter, limit = Number.POSITIVE_INFINITY }: ReadAllOptions,
  ): AsyncGenerator<RecordedEvent> {
    const isPast = (one: bigint) => (direction === 'forwards' ? one > position : one < position);
    const before = [...this.#landmarks].filter((one) => !isPast(one)).sort((a, b) => (a < b ? -1 : 1));
    const after = direction === 'forwards' ? before.at(-1) : before[0];
    const noting: ReadPage = async (page) => {
      const responses = await this.#readPage(page);
      const lastPosition = lastPositionOf(responses);
      if (lastPosition !== undefined) this.#landmarks.add(lastPosition);
      return responses;
    };
    // What comes before is not asked for, and may be what cannot be read.
    const readPast: EventReader = (response) =>
      isPast(positionOf(response) ?? position) ? recordedEvent(response) : undefined;
    let left = limit;
    const start = after === undefined ? {} : { after };
    for await (const event of readLog(noting, { direction, ...start, ...(filter && { filter }) }, readPast)) {
      if (left-- <= 0) return;
      yield event;
      if (left <= 0) return;
    }
  }
}

/** The same from an event on, or from the begin or the end. */
export async function* readLog(
  readPage: ReadPage,
  options: ReadAllOptions,
  read: EventReader = recordedEvent,
): AsyncGenerator<RecordedEvent> {
  const { direction = 'forwards', filter, limit = Number.POSITIVE_INFINITY } = options;
  // No event stands at 0: that is a position before the first.
  let from = options.after === 0n && direction === 'forwards' ? undefined : options.after;
  let left = limit;
  while (left > 0) {
    // Forwards the store begins with the event at the position, which we have already.
    const isRepeated = direction === 'forwards' && from !== undefined;
    const count = Math.min(isRepeated ? left + 1 : left, pageSize);
    const responses = await readPage({ from, direction, filter, count });
    for (const event of eventsIn(responses, from, read)) {
      yield event;
      if (--left <= 0) return;
    }
    const lastPosition = lastPositionOf(responses);
    if (lastPosition === undefined || responses.length < count || lastPosition === from) return;
    from = lastPosition;
  }
}

/** One by one: what stands before an event that cannot be read is given, and whoever has enough does not meet it. */
function* eventsIn(
  responses: readonly ReadResponse[],
  known: bigint | undefined,
  read: EventReader,
): Generator<RecordedEvent> {
  for (const response of responses) {
    const event = positionOf(response) === known ? undefined : read(response);
    if (event !== undefined) yield event;
  }
}

function lastPositionOf(responses: readonly ReadResponse[]): bigint | undefined {
  const last = responses.at(-1);
  return last && positionOf(last);
}
