import { KeyturnError } from '../domain/errors.ts';
import type { SecretHasher } from './secret-hasher.ts';

/** Of results that are handed on together. */
const largestGroup = 16;
/** With fewer under way no result waits for others. */
const fewestUnderWay = 16;
/** In milliseconds: how long a result waits for others. With the default cost as many as make a group are hashed meanwhile. */
const patience = 10;

/**
 * The hasher, with a bound on the work that waits for it. More requests than can be hashed would wait longer and longer, and in
 * the end all of them in vain: those past the bound are refused at once, and the others answered in time.
 *
 * While many are under way, results are handed on in groups: what comes after a hash costs the thread that answers a third less when it
 * is done for several at a time, down to one commit for all of them.
 *
 * @param longest how many secrets may be under way, in the queue or in hashing
 * @returns a hasher whose `hash` and `verify` throw KeyturnError `OVERLOADED` beyond
 */
export function boundedHasher(hasher: SecretHasher, longest: number): SecretHasher {
  let underWay = 0;
  const groups = new Groups();
  const inQueue = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (underWay >= longest) throw new KeyturnError('OVERLOADED');
    underWay++;
    try {
      return await work();
    } finally {
      underWay--;
      await groups.join(underWay);
    }
  };
  return {
    hash: (secret) => inQueue(() => hasher.hash(secret)),
    verify: (secret, hashedSecret) => inQueue(() => hasher.verify(secret, hashedSecret)),
    isOutdated: (hashedSecret) => hasher.isOutdated(hashedSecret),
  };
}

/** Whoever joins waits until there is a group. */
class Groups {
  #members: (() => void)[] = [];
  #late: NodeJS.Timeout | undefined;

  /** @param expected how many may join later */
  join(expected: number): Promise<void> {
    return new Promise((goOn) => {
      this.#members.push(goOn);
      const isEnough = expected < fewestUnderWay || this.#members.length >= largestGroup;
      if (isEnough) this.#goOn();
      else this.#late ??= setTimeout(() => this.#goOn(), patience);
    });
  }

  #goOn(): void {
    clearTimeout(this.#late);
    this.#late = undefined;
    for (const goOn of this.#members.splice(0)) goOn();
  }
}
