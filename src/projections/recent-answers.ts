import { LRUCache } from 'lru-cache';

interface Remembered<Value> {
  readonly value: Value;
  /** The aggregates that it was made from. */
  readonly aggregateIds: readonly string[];
}

/**
 * Answers of queries that are asked again and again, each until an event of an aggregate that it was made from is applied.
 * At sign-in a query over three tables cost as much as the signature of the token.
 */
export class RecentAnswers {
  readonly #memories: Pick<Memory<unknown>, 'forget' | 'clear'>[] = [];
  #isHeld = false;

  /**
   * The query, which answers from memory where it can.
   *
   * @param aggregateIds of the aggregates whose events can change an answer. That there is none is not remembered
   * @param limit how many answers are remembered; the least recently used goes first
   */
  remember<Value extends NonNullable<unknown>>(
    query: (key: string) => Value | undefined,
    aggregateIds: (value: Value) => readonly string[],
    limit: number,
  ): (key: string) => Value | undefined {
    const memory = new Memory<Value>(limit);
    this.#memories.push(memory);
    return (key) => {
      if (this.#isHeld) return query(key);
      const known = memory.get(key);
      if (known !== undefined) return known;
      const value = query(key);
      if (value !== undefined) memory.set(key, { value, aggregateIds: aggregateIds(value) });
      return value;
    };
  }

  /** Until {@link release} nothing is answered from memory or remembered: a batch has begun, which may be taken back. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
  }

  /** Call it for every event that is applied. */
  forget(aggregateId: string): void {
    for (const memory of this.#memories) memory.forget(aggregateId);
  }

  forgetAll(): void {
    for (const memory of this.#memories) memory.clear();
  }
}

class Memory<Value> {
  readonly #answers: LRUCache<string, Remembered<Value>>;
  readonly #keysOf = new Map<string, Set<string>>();

  constructor(limit: number) {
    this.#answers = new LRUCache({
      // By size, so that it grows with use: `max` would make all places at once.
      maxSize: limit,
      sizeCalculation: () => 1,
      dispose: ({ aggregateIds }, key) => {
        for (const id of aggregateIds) this.#unlink(id, key);
      },
    });
  }

  get(key: string): Value | undefined {
    return this.#answers.get(key)?.value;
  }

  set(key: string, remembered: Remembered<Value>): void {
    this.#answers.set(key, remembered);
    for (const id of remembered.aggregateIds) {
      const keys = this.#keysOf.get(id);
      if (keys === undefined) this.#keysOf.set(id, new Set([key]));
      else keys.add(key);
    }
  }

  forget(aggregateId: string): void {
    // Where nobody asks, as in a replay, look-ups by text for every event are a twentieth of all that there is to do.
    if (this.#keysOf.size === 0) return;
    const keys = this.#keysOf.get(aggregateId);
    if (keys === undefined) return;
    for (const key of keys) this.#answers.delete(key);
  }

  clear(): void {
    this.#answers.clear();
  }

  #unlink(aggregateId: string, key: string): void {
    const keys = this.#keysOf.get(aggregateId);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOf.delete(aggregateId);
  }
}
