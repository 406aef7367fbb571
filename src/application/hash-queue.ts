import { KeyturnError } from '../domain/errors.ts';
import type { SecretHasher } from './secret-hasher.ts';

/**
 * The hasher, with a bound on the work that waits for it. More requests than can be hashed would wait longer and longer, and in
 * the end all of them in vain: those past the bound are refused at once, and the others answered in time.
 *
 * @param longest how many secrets may be under way, in the queue or in hashing
 * @returns a hasher whose `hash` and `verify` throw KeyturnError `OVERLOADED` beyond
 */
export function boundedHasher(hasher: SecretHasher, longest: number): SecretHasher {
  let waiting = 0;
  const inQueue = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (waiting >= longest) throw new KeyturnError('OVERLOADED');
    waiting++;
    try {
      return await work();
    } finally {
      waiting--;
    }
  };
  return {
    hash: (secret) => inQueue(() => hasher.hash(secret)),
    verify: (secret, hashedSecret) => inQueue(() => hasher.verify(secret, hashedSecret)),
    isOutdated: (hashedSecret) => hasher.isOutdated(hashedSecret),
  };
}
