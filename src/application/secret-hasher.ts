import { hash, parseOptions, verify } from '@node-rs/bcrypt';

/** In characters: longer ones are not tried, and not imported. */
export const longestImportedSecret = 256;

/** One-way storage of secrets. Its work runs off the main thread. */
export interface SecretHasher {
  hash(secret: string): Promise<string>;
  verify(secret: string, hashedSecret: string): Promise<boolean>;
  /** The hash was made with other settings than today's. */
  isOutdated(hashedSecret: string): boolean;
}

/** @param cost 4 to 31: each step doubles the work. Machine secrets have 226 random bits and need no stretching. */
export function bcryptHasher(cost: number): SecretHasher {
  return {
    hash: (secret) => hash(secret, { cost, rejectLongPasswords: true }),
    verify: (secret, hashedSecret) => verify(secret, hashedSecret),
    isOutdated: (hashedSecret) => parseOptions(hashedSecret).cost !== cost,
  };
}
