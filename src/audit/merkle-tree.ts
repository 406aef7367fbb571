import { hash } from 'node:crypto';

/** Merkle trees of RFC 9162 section 2.1 with SHA-256. Hashes are 32 bytes. */

const leafPrefix = Buffer.of(0);
const nodePrefix = Buffer.of(1);
export const hashLength = 32;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer');

export const emptyRoot = (): Buffer => sha256();
export const leafHash = (entry: Uint8Array): Buffer => sha256(leafPrefix, entry);
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(nodePrefix, left, right);

/** The root of a tree that grows leaf by leaf, from the few subtrees that it is made of. */
export class MerkleFrontier {
  readonly #subtrees: { readonly leaves: number; readonly hash: Buffer }[] = [];

  addLeaf(leaf: Buffer): void {
    let added = { leaves: 1, hash: leaf };
    for (let last = this.#subtrees.at(-1); last?.leaves === added.leaves; last = this.#subtrees.at(-1)) {
      this.#subtrees.pop();
      added = { leaves: last.leaves * 2, hash: nodeHash(last.hash, added.hash) };
    }
    this.#subtrees.push(added);
  }

  root(): Buffer {
    const [last, ...others] = this.#subtrees.toReversed();
    if (last === undefined) return emptyRoot();
    return others.reduce((right, left) => nodeHash(left.hash, right), last.hash);
  }
}

/** MTH(D[start:end]) of a tree that is kept somewhere; `end` is exclusive. */
export type SubtreeHash = (start: number, end: number) => Buffer;

/** Where RFC 9162 splits a tree of `size` leaves, two at least: the largest power of two below it. */
export function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** PATH(index, D[0:size]) of RFC 9162 section 2.1.3.1, from the leaf's sibling up. */
export function inclusionPath(index: number, size: number, subtree: SubtreeHash): Buffer[] {
  const path: Buffer[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      path.push(subtree(middle, end));
      end = middle;
    } else {
      path.push(subtree(start, middle));
      start = middle;
    }
  }
  return path.reverse();
}

/** The root that `leaf` at `index` and `path` lead to (RFC 9162 section 2.1.3.2), or undefined for a path of a wrong length. */
export function rootOfInclusion(
  leaf: Buffer,
  index: number,
  size: number,
  path: readonly Buffer[],
): Buffer | undefined {
  if (index >= size) return undefined;
  // BigInt: bitwise operators of numbers stop at 32 bits.
  let [place, last] = [BigInt(index), BigInt(size - 1)];
  let root = leaf;
  for (const sibling of path) {
    if (last === 0n) return undefined;
    if (place % 2n === 1n || place === last) {
      root = nodeHash(sibling, root);
      while (place % 2n === 0n && place !== 0n) [place, last] = [place >> 1n, last >> 1n];
    } else {
      root = nodeHash(root, sibling);
    }
    [place, last] = [place >> 1n, last >> 1n];
  }
  return last === 0n ? root : undefined;
}
