import { randomInt } from 'node:crypto';

/** How many streams are remembered, in 60 bytes each. */
const defaultPlaces = 2 ** 18;
/** A stream is in one of so many places in a row. */
const row = 8;
/** Of a hash in base64url. */
const hashLength = 43;
/** In UTF-16 code units: streams with longer names are not remembered. */
const longestName = 256;
/** The largest prime below 2^32. */
const prime = 4_294_967_291;
/** So many products of a code unit and a number below the prime can be added up without rounding. */
const exactSums = 16;

/**
 * The last event that was seen of each stream, for as many streams as there are places; a new one takes the place of another then.
 * It is memory of a fixed size outside of the heap: as objects, 100,000 heads that change all the time took 120 MB.
 *
 * A stream is known by two fingerprints with random keys (multilinear hashing): that two names have the same is as likely as
 * to guess 64 bits, also for who chooses them.
 */
export class StreamHeads {
  readonly #first = new Fingerprints();
  readonly #second = new Fingerprints();
  readonly #names: Uint32Array;
  /** How many events the stream holds up to its last one; 0: the place is free. */
  readonly #versions: Float64Array;
  readonly #hashes: Buffer;

  /** @param places at least 9 */
  constructor(places = defaultPlaces) {
    this.#names = new Uint32Array(2 * places);
    this.#versions = new Float64Array(places);
    this.#hashes = Buffer.alloc(hashLength * places);
  }

  /**
   * Notes an event as the last of its stream.
   *
   * @returns whether the last one before was the revision before it, with the hash `previousHash`
   */
  add(stream: string, revision: bigint, hash: string, previousHash: unknown): boolean {
    if (stream.length > longestName || revision >= BigInt(Number.MAX_SAFE_INTEGER)) return false;
    const version = Number(revision) + 1;
    const [first, second] = [this.#first.of(stream), this.#second.of(stream)];
    const place = this.#placeOf(first, second);
    const isKnown = this.#isAt(place, first, second) && this.#versions[place] === version - 1;
    const begin = place * hashLength;
    const follows = isKnown && this.#hashes.toString('latin1', begin, begin + hashLength) === previousHash;
    this.#names[2 * place] = first;
    this.#names[2 * place + 1] = second;
    this.#versions[place] = version;
    this.#hashes.write(hash, begin, 'latin1');
    return follows;
  }

  /** Where the stream is, else a free place, else one that it takes from another. */
  #placeOf(first: number, second: number): number {
    const begin = first % (this.#versions.length - row);
    for (let place = begin; place < begin + row; place++) {
      if (this.#versions[place] === 0 || this.#isAt(place, first, second)) return place;
    }
    return begin + (second % row);
  }

  #isAt(place: number, first: number, second: number): boolean {
    return (
      this.#versions[place] !== 0 && this.#names[2 * place] === first && this.#names[2 * place + 1] === second
    );
  }
}

class Fingerprints {
  readonly #keys = Float64Array.from({ length: longestName + 1 }, () => randomInt(prime));

  of(name: string): number {
    const keys = this.#keys;
    let sum = (keys[longestName] as number) * name.length;
    for (let index = 0; index < name.length; index++) {
      sum += (keys[index] as number) * name.charCodeAt(index);
      if (index % exactSums === exactSums - 1) sum %= prime;
    }
    return sum % prime;
  }
}
