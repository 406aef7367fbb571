/** The 32 bytes that a user's personal fields are sealed with, or since when nobody has them any more (RFC 3339). */
export type PersonalKey = { readonly key: Uint8Array } | { readonly erasedAt: string };

/**
 * A key for each user, kept outside the log: when a key is destroyed, what is sealed with it is unreadable in the log and in
 * every copy of the log, and no event has changed.
 *
 * `test/contract/personal-keys.contract.ts` is the exact meaning of this port.
 */
export interface PersonalKeys {
  /** Undefined for a user who never had one. */
  keyOf(userId: string): Promise<PersonalKey | undefined>;
  /** The user's key. Where it never had one, a new one, which is durable when this resolves. */
  create(userId: string): Promise<PersonalKey>;
  /** Resolves once the key is gone for good. A user gets no other; only the first `erasedAt` counts. */
  destroy(userId: string, erasedAt: string): Promise<void>;
  close(): void;
}
