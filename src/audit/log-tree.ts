import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import type { RecordedEvent } from '../eventstore/event-store.ts';
import { hashOfEvent } from '../eventstore/hash-chain.ts';
import { hashLength, inclusionPath, leafHash, MerkleFrontier, nodeHash, splitOf } from './merkle-tree.ts';

/** What the tree keeps of one event: its place in the log, and its hash, which is the entry of the tree's leaf. */
export interface LogLeaf {
  readonly position: bigint;
  /** base64url, as the hash chain has it. */
  readonly eventHash: string;
}

const recordLength = 8 + hashLength;
const subtreeWidth = 256;
/** Files of subtree roots: of 2^8, 2^16 and 2^24 leaves. Reading any root takes a few hundred hashes then, of a log of any size. */
const subtreeLevels = [1, 2, 3] as const;
const leavesInPage = 4096;
const fileNames = ['leaves', ...subtreeLevels.map((level) => `subtrees-${level}`)];

/**
 * The Merkle tree over the log, in files that only grow: `leaves` with a record of 40 bytes for each event (position as
 * 64-bit big-endian integer, hash), and `subtrees-1` to `-3` with roots of 256, 256² and 256³ leaves.
 *
 * Leaf n is event n of the log. Its entry (RFC 9162) is the 32-byte hash that the hash chain gives the event.
 */
export class LogTree {
  readonly #leaves: number;
  readonly #subtrees: readonly number[];
  #size: number;

  private constructor([leaves, ...subtrees]: readonly number[]) {
    if (leaves === undefined) throw new TypeError('a log tree needs its files');
    this.#leaves = leaves;
    this.#subtrees = subtrees;
    this.#size = Math.floor(fstatSync(leaves).size / recordLength);
  }

  /** Opens the tree in `folder`, made when there is none. What a crash left half-written is cut off, or made again. */
  static open(folder: string): LogTree {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const tree = new LogTree(fileNames.map((name) => openSync(join(folder, name), 'a+', 0o600)));
    ftruncateSync(tree.#leaves, tree.#size * recordLength);
    tree.#mendSubtrees();
    return tree;
  }

  /** Undefined where there is none. The tree cannot grow then. */
  static openReadOnly(folder: string): LogTree | undefined {
    if (!existsSync(join(folder, 'leaves'))) return undefined;
    return new LogTree(fileNames.map((name) => openSync(join(folder, name), 'r')));
  }

  /** Deletes the files of the tree in `folder`, and nothing else there. */
  static remove(folder: string): void {
    for (const name of fileNames) rmSync(join(folder, name), { force: true });
  }

  get size(): number {
    return this.#size;
  }

  lastLeaf(): LogLeaf | undefined {
    return this.#size === 0 ? undefined : this.leaf(this.#size - 1);
  }

  leaf(index: number): LogLeaf {
    return leafOf(this.#record(index));
  }

  /** The index of the first leaf past `position`. */
  indexAfter(position: bigint): number {
    let [low, high] = [0, this.#size];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.leaf(middle).position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The leaves from `index` on. */
  *leavesFrom(index: number, end = this.#size): Generator<LogLeaf> {
    for (let first = index; first < end; first += leavesInPage) {
      const page = this.#records(first, Math.min(first + leavesInPage, end));
      for (let at = 0; at < page.length; at += recordLength)
        yield leafOf(page.subarray(at, at + recordLength));
    }
  }

  /** Adds the next events of the log. They are on the disk after {@link sync}. */
  append(events: readonly RecordedEvent[]): void {
    const records = events.map((event) => {
      const record = Buffer.alloc(recordLength);
      record.writeBigUInt64BE(event.position);
      record.write(hashOfEvent(event), 8, 'base64url');
      return record;
    });
    appendFileSync(this.#leaves, Buffer.concat(records));
    this.#size += events.length;
    this.#mendSubtrees();
  }

  /** Forgets all leaves but the first `size`. */
  truncate(size: number): void {
    if (size >= this.#size) return;
    ftruncateSync(this.#leaves, size * recordLength);
    this.#size = size;
    this.#mendSubtrees();
  }

  sync(): void {
    for (const file of [this.#leaves, ...this.#subtrees]) fsyncSync(file);
  }

  /** The root of the tree of the first `size` leaves, from the subtrees that are kept. */
  root(size = this.#size): Buffer {
    return size === 0 ? new MerkleFrontier().root() : this.#subtree(0, size);
  }

  /** The same from the leaves alone, without trust in the files of subtrees. Lets other work go on meanwhile. */
  async recomputeRoot(size = this.#size): Promise<Buffer> {
    const frontier = new MerkleFrontier();
    for (let first = 0; first < size; first += leavesInPage) {
      const page = this.#records(first, Math.min(first + leavesInPage, size));
      for (let at = 0; at < page.length; at += recordLength) {
        frontier.addLeaf(leafHash(page.subarray(at + 8, at + recordLength)));
      }
      await new Promise(setImmediate);
    }
    return frontier.root();
  }

  inclusionPath(index: number, size = this.#size): Buffer[] {
    return inclusionPath(index, size, (start, end) => this.#subtree(start, end));
  }

  close(): void {
    for (const file of [this.#leaves, ...this.#subtrees]) closeSync(file);
  }

  #subtree(start: number, end: number): Buffer {
    const size = end - start;
    const level = Math.log2(size) / 8;
    if (level === 0) return leafHash(this.#record(start).subarray(8));
    const file = this.#subtrees[level - 1];
    if (file !== undefined) return read(file, (start / size) * hashLength, hashLength);
    const middle = start + splitOf(size);
    return nodeHash(this.#subtree(start, middle), this.#subtree(middle, end));
  }

  /** Adds the roots of subtrees that are complete and not kept yet. */
  #mendSubtrees(): void {
    let children = this.#size;
    for (const [index, file] of this.#subtrees.entries()) {
      const complete = Math.floor(children / subtreeWidth);
      const kept = Math.min(Math.floor(fstatSync(file).size / hashLength), complete);
      ftruncateSync(file, kept * hashLength);
      for (let root = kept; root < complete; root++) appendFileSync(file, this.#rootOfChildren(index, root));
      children = complete;
    }
  }

  #rootOfChildren(index: number, root: number): Buffer {
    const frontier = new MerkleFrontier();
    const below = this.#subtrees[index - 1];
    const first = root * subtreeWidth;
    const [length, page] =
      below === undefined
        ? [recordLength, this.#records(first, first + subtreeWidth)]
        : [hashLength, read(below, first * hashLength, subtreeWidth * hashLength)];
    for (let at = 0; at < page.length; at += length) {
      const child = page.subarray(at, at + length);
      frontier.addLeaf(below === undefined ? leafHash(child.subarray(8)) : child);
    }
    return frontier.root();
  }

  #record(index: number): Buffer {
    return this.#records(index, index + 1);
  }

  #records(start: number, end: number): Buffer {
    return read(this.#leaves, start * recordLength, (end - start) * recordLength);
  }
}

function leafOf(record: Buffer): LogLeaf {
  return { position: record.readBigUInt64BE(), eventHash: record.toString('base64url', 8) };
}

function read(file: number, position: number, length: number): Buffer {
  const content = Buffer.alloc(length);
  const count = readSync(file, content, 0, length, position);
  if (count < length) throw new RangeError('the log tree ends before a place that it should have');
  return content;
}
