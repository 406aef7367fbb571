import { openBytes, sealBytes } from './sealed-bytes.ts';

/** Keys that are derived from master keys: personal keys are stored under the first, and may be under another one still. */
export class WrappingKeys {
  readonly #newestFirst: readonly Uint8Array[];

  /** @param newestFirst 32 bytes each */
  constructor(newestFirst: readonly Uint8Array[]) {
    this.#newestFirst = newestFirst;
  }

  /** More than one master key is known: some keys may have to be put under the first. */
  get isChanging(): boolean {
    return this.#newestFirst.length > 1;
  }

  wrap(userId: string, key: Uint8Array): Buffer {
    return sealBytes(this.#newestFirst[0] as Uint8Array, key, userId);
  }

  /** Undefined: it is under none of them. */
  open(userId: string, wrapped: Uint8Array): Uint8Array | undefined {
    for (const wrappingKey of this.#newestFirst) {
      const key = openBytes(wrappingKey, wrapped, userId);
      if (key !== undefined) return key;
    }
    return undefined;
  }

  /**
   * The key under the first, where it is under another one. One that is under none of them came from elsewhere, and is left: it
   * must not hold the others up.
   */
  wrapAnew(userId: string, wrapped: Uint8Array): Buffer | undefined {
    const isCurrent = openBytes(this.#newestFirst[0] as Uint8Array, wrapped, userId) !== undefined;
    const key = isCurrent ? undefined : this.open(userId, wrapped);
    return key && this.wrap(userId, key);
  }
}
