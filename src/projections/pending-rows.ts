/**
 * Rows that are not in their table yet, by key. They are written at the end of a transaction, so that what later events of the
 * same transaction change or remove is written once or never.
 */
export class PendingRows<Row> {
  readonly #write: (row: Row) => void;
  readonly #rows = new Map<string, Row>();

  constructor(write: (row: Row) => void) {
    this.#write = write;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  set(key: string, row: Row): void {
    this.#rows.set(key, row);
  }

  /** @returns whether there was one */
  forget(key: string): boolean {
    return this.#rows.delete(key);
  }

  /** Before a statement that needs the row in the table. */
  writeOne(key: string): void {
    const row = this.#rows.get(key);
    if (row === undefined) return;
    this.#rows.delete(key);
    this.#write(row);
  }

  writeAll(): void {
    for (const row of this.#rows.values()) this.#write(row);
    this.#rows.clear();
  }

  forgetAll(): void {
    this.#rows.clear();
  }
}
