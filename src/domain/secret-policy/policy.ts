import { z } from 'zod';

/** Rules about the secrets of a machine user, all decided. Times in seconds. */
export interface SecretPolicy {
  /** How long a secret that a new one replaces lives on. 0: it ends at once. */
  readonly overlap: number;
  /** After how long a secret expires for which nobody asked for an expiry. Undefined: never. */
  readonly lifetime: number | undefined;
  /** How many secrets of a user may be live at the same time. */
  readonly maxLiveSecrets: number;
  /** The longest life of a secret that may be asked for. Undefined: any. */
  readonly maxLifetime: number | undefined;
  /** The user's access tokens end whenever one of its secrets does. */
  readonly endTokens: boolean;
  /** A secret that somebody found and reported ends at once. */
  readonly retireLeaked: boolean;
}

/** In seconds. */
const longestTime = 100 * 366 * 24 * 3600;
const longestOverlap = 366 * 24 * 3600;
const mostLiveSecrets = 20;

const seconds = z.int().min(1).max(longestTime);

/** What one level of policy says. What it leaves out, a level further away says. */
export const secretPolicySettingsSchema = z.strictObject({
  overlap: z.int().min(0).max(longestOverlap).exactOptional(),
  lifetime: seconds.exactOptional(),
  maxLiveSecrets: z.int().min(1).max(mostLiveSecrets).exactOptional(),
  maxLifetime: seconds.exactOptional(),
  endTokens: z.boolean().exactOptional(),
  retireLeaked: z.boolean().exactOptional(),
});

export type SecretPolicySettings = z.output<typeof secretPolicySettingsSchema>;

/** What ZITADEL does: a new secret replaces the one before it at once, and lives until it is replaced. */
export const defaultSecretPolicy: SecretPolicy = {
  overlap: 0,
  lifetime: undefined,
  maxLiveSecrets: 2,
  maxLifetime: undefined,
  endTokens: false,
  retireLeaked: true,
};

/** @param levels the nearest first: each setting is taken from the first that has it */
export function effectiveSecretPolicy(levels: readonly SecretPolicySettings[]): SecretPolicy {
  return Object.assign({}, defaultSecretPolicy, ...levels.toReversed());
}

/** When a secret expires that is made now, and for which nobody asks for an expiry. Undefined: never. */
export function defaultExpiry({ lifetime, maxLifetime }: SecretPolicy, now: string): string | undefined {
  const shortest = Math.min(lifetime ?? Number.POSITIVE_INFINITY, maxLifetime ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(shortest) ? secondsAfter(now, shortest) : undefined;
}

/** RFC 3339, as `time`. */
export function secondsAfter(time: string, seconds: number): string {
  return new Date(Date.parse(time) + seconds * 1000).toISOString();
}
