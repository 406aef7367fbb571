import { hash, parseOptions } from '@node-rs/bcrypt';
import { isBcryptHash, verifyHash } from './secret-hashes.ts';

/** In characters: longer ones are not tried. */
export const longestImportedSecret = 256;
/** In bytes: bcrypt reads no more. */
export const longestHashedSecret = 72;

/** One-way storage of secrets. Its work runs off the main thread. */
export interface SecretHasher {
  hash(secret: string): Promise<string>;
  /** @param hashedSecret one of ours, or one that was imported */
  verify(secret: string, hashedSecret: string): Promise<boolean>;
  /** The hash was made with other settings than today's, or by another system. */
  isOutdated(hashedSecret: string): boolean;
}

/** @param cost 4 to 31: each step doubles the work. Machine secrets have 226 random bits and need no stretching. */
export function bcryptHasher(cost: number): SecretHasher {
  return {
    hash: (secret) => hash(secret, { cost, rejectLongPasswords: true }),
    verify: (secret, hashedSecret) => verifyHash(secret, hashedSecret),
    isOutdated: (hashedSecret) => !isBcryptHash(hashedSecret) || parseOptions(hashedSecret).cost !== cost,
  };
}
