import { z } from 'zod';

/** JWS algorithms (RFC 7518, RFC 8037) that tokens can be signed with. */
export const signingAlgorithms = ['ES256', 'RS256', 'EdDSA'] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

/** In seconds: the longest that a token may be configured to live. */
export const longestTokenLifetime = 24 * 60 * 60;
/**
 * In seconds: how long a new key is published before it signs. Longer than verifiers may keep the key set, so that they
 * know the key before they meet its first token.
 */
export const signingKeyLead = 10 * 60;

export const signingKeyAddedSchema = z.strictObject({
  keyId: z.string().min(1),
  algorithm: z.enum(signingAlgorithms),
  /** The public JWK (RFC 7517). */
  publicKey: z.record(z.string(), z.string()),
  /** The private JWK as a compact JWE (RFC 7516, `dir` with A256GCM) under the master key. */
  encryptedPrivateKey: z.string().min(1),
  /** RFC 3339. Absent: at once. */
  signsFrom: z.iso.datetime({ precision: 3 }).exactOptional(),
});

/** A key as the rules about time see it. */
export interface SigningKeyTimes {
  readonly keyId: string;
  /** RFC 3339 */
  readonly signsFrom: string;
}

/** The key that tokens are signed with at `now`: the one that began to sign last. */
export function signingKeyAt<Key extends SigningKeyTimes>(keys: readonly Key[], now: Date): Key | undefined {
  return newestFirst(keys).find((key) => beganToSign(key, now));
}

/** Until when {@link signingKeyAt} gives the key that it gives at `now`, in milliseconds since 1970. */
export function signsUntil(keys: readonly SigningKeyTimes[], now: Date): number {
  const begins = keys.map(({ signsFrom }) => Date.parse(signsFrom));
  return Math.min(...begins.filter((begin) => begin > now.getTime()), Number.POSITIVE_INFINITY);
}

/**
 * The keys that verifiers have to know at `now`, newest first: those that will sign, the one that signs, and those that
 * signed a token which may still be alive.
 */
export function publishedKeysAt<Key extends SigningKeyTimes>(keys: readonly Key[], now: Date): Key[] {
  const sorted = newestFirst(keys);
  return sorted.filter((_, index) => {
    const successor = sorted[index - 1];
    return (
      successor === undefined || now.getTime() < Date.parse(successor.signsFrom) + longestTokenLifetime * 1000
    );
  });
}

function newestFirst<Key extends SigningKeyTimes>(keys: readonly Key[]): Key[] {
  return keys.toSorted((a, b) => b.signsFrom.localeCompare(a.signsFrom) || a.keyId.localeCompare(b.keyId));
}

function beganToSign(key: SigningKeyTimes, now: Date): boolean {
  return Date.parse(key.signsFrom) <= now.getTime();
}
