import { randomUUID } from 'node:crypto';
import { appendFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { LogTree } from '../../src/audit/log-tree.ts';
import { leafHash, MerkleFrontier, rootOfInclusion } from '../../src/audit/merkle-tree.ts';
import type { RecordedEvent } from '../../src/eventstore/event-store.ts';
import { hashOfEvent } from '../../src/eventstore/hash-chain.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** The leaves and roots that implementations of RFC 6962 and RFC 9162 test themselves with. */
const entries = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('roots are those of RFC 9162', () => {
  const frontier = new MerkleFrontier();
  expect(frontier.root().toString('hex')).toBe(roots[0]);
  for (const [index, entry] of entries.entries()) {
    frontier.addLeaf(leafHash(Buffer.from(entry, 'hex')));
    expect(frontier.root().toString('hex')).toBe(roots[index + 1]);
  }
});

function events(count: number, from = 0): RecordedEvent[] {
  return Array.from({ length: count }, (_, index) => ({
    stream: 'machineUser-1',
    revision: BigInt(from + index),
    position: BigInt(2 * (from + index) + 1),
    id: randomUUID(),
    type: 'SomethingHappened',
    data: {},
    metadata: {},
    recordedAt: new Date(0),
  }));
}

const leafOf = (event: RecordedEvent) => leafHash(Buffer.from(hashOfEvent(event), 'base64url'));

function rootOf(log: readonly RecordedEvent[]): Buffer {
  const frontier = new MerkleFrontier();
  for (const event of log) frontier.addLeaf(leafOf(event));
  return frontier.root();
}

/** Longer than three files of subtrees are wide apart would take too long; past 256 and 512 is what differs. */
const size = fc.oneof(fc.nat(20), fc.integer({ min: 250, max: 520 }), fc.constant(1300));

/** The tree knows the head that it had when it held `log`, and proves one of its leaves. */
function expectHead(tree: LogTree, log: readonly RecordedEvent[], seed: number): void {
  const root = tree.root(log.length);
  expect(root).toEqual(rootOf(log));
  const index = seed % Math.max(log.length, 1);
  const event = log[index];
  if (event === undefined) return;
  const leaf = leafOf(event);
  const path = tree.inclusionPath(index, log.length);
  const rootBy = (of: Buffer, along: readonly Buffer[]) => rootOfInclusion(of, index, log.length, along);
  expect(rootBy(leaf, path)).toEqual(root);
  expect(rootBy(leafHash(Buffer.of(7)), path)).not.toEqual(root);
  expect(rootBy(leaf, [...path, leaf])).toBeUndefined();
  if (path.length > 0) expect(rootBy(leaf, path.slice(1))).not.toEqual(root);
}

describe('the log tree', () => {
  it('has the root of every size that it had, and proves every leaf, however it grew', () => {
    fc.assert(
      fc.property(size, size, fc.nat(), (first, second, seed) => {
        const tree = LogTree.open(temporaryFolder());
        const log = events(first + second);
        if (first > 0) tree.append(log.slice(0, first));
        if (second > 0) tree.append(log.slice(first));
        expect(tree.size).toBe(log.length);
        for (const head of new Set([0, first, log.length])) expectHead(tree, log.slice(0, head), seed);
        tree.close();
      }),
      { numRuns: 30 },
    );
  });

  it('finds the leaf that follows a position', () => {
    const tree = LogTree.open(temporaryFolder());
    tree.append(events(600));
    expect([0n, 1n, 2n, 3n, 1198n, 1199n, 5000n].map((position) => tree.indexAfter(position))).toEqual([
      0, 1, 1, 2, 599, 600, 600,
    ]);
    expect([...tree.leavesFrom(598)].map(({ position }) => position)).toEqual([1197n, 1199n]);
    tree.close();
  });

  it('opens with all whole leaves after a write was torn, and mends its subtrees', () => {
    const folder = temporaryFolder();
    const log = events(700);
    const first = LogTree.open(folder);
    first.append(log.slice(0, 600));
    first.close();
    truncateSync(join(folder, 'subtrees-1'), 40);
    appendFileSync(join(folder, 'leaves'), 'torn');
    const second = LogTree.open(folder);
    expect(statSync(join(folder, 'leaves')).size).toBe(600 * 40);
    expect(second.root()).toEqual(rootOf(log.slice(0, 600)));
    second.append(log.slice(600));
    expect(second.root()).toEqual(rootOf(log));
    second.close();
  });

  it('is readable by its owner only', () => {
    const folder = join(temporaryFolder(), 'log-tree');
    LogTree.open(folder).close();
    expect([statSync(folder).mode & 0o777, statSync(join(folder, 'leaves')).mode & 0o777]).toEqual([
      0o700, 0o600,
    ]);
  });
});
