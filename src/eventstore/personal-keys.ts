/** The 32 bytes that a user's personal fields are sealed with, or since when nobody has them any more (RFC 3339). */
export type PersonalKey = { readonly key: Uint8Array } | { readonly erasedAt: string };

/** The same as it is stored, and copied: under a key that is derived from a master key. */
export type StoredPersonalKey = { readonly userId: string } & (
  | { readonly wrapped: Uint8Array }
  | { readonly erasedAt: string }
);

/**
 * A key for each user, kept outside the log: when a key is destroyed, what is sealed with it is unreadable in the log and in
 * every copy of the log, and no event has changed.
 *
 * `test/contract/personal-keys.contract.ts` is the exact meaning of this port.
 */
export interface PersonalKeys {
  /** What is destroyed is no longer given to anybody, but its bytes, encrypted, stay on disks until the store is scavenged. */
  readonly needsScavenge: boolean;
  /**
   * Before the first use by who writes: keys that are under another master key are put under the current one.
   *
   * @throws EventStoreUnusableError keys could not be destroyed here
   */
  prepare(): Promise<void>;
  /**
   * Undefined for a user who never had one.
   *
   * @throws WrongWrappingKeyError it is under another master key
   */
  keyOf(userId: string): Promise<PersonalKey | undefined>;
  /** The user's key. Where it never had one, a new one, which is durable when this resolves. */
  create(userId: string): Promise<PersonalKey>;
  /** Resolves once nobody is given the key any more. A user gets no other; only the first `erasedAt` counts. */
  destroy(userId: string, erasedAt: string): Promise<void>;
  close(): void;
}
