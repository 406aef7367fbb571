import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamHeads } from '../../src/audit/stream-heads.ts';

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const longestName = 256;
const streamName = fc.oneof(
  fc.nat(9).map((number) => `machineUser-${number}`),
  // Names that differ in their length only, and one that is too long to be remembered.
  fc.constantFrom('', '\0', '\0\0', 'a'.repeat(longestName + 1)),
);
const addedEvents = fc.array(
  fc.record({ stream: streamName, isNextRevision: fc.boolean(), isChained: fc.boolean() }),
  { minLength: 50, maxLength: 100 },
);

/** What `heads` says of each event, and what is so. */
function* answers(
  heads: StreamHeads,
  events: typeof addedEvents extends fc.Arbitrary<infer Of> ? Of : never,
) {
  const last = new Map<string, { revision: number; hash: string }>();
  for (const [index, { stream, isNextRevision, isChained }] of events.entries()) {
    const before = last.get(stream);
    const revision = (before?.revision ?? -1) + (isNextRevision ? 1 : 2);
    const previousHash = isChained ? before?.hash : hashOf(String(index - 1));
    const hash = hashOf(String(index));
    const answer = heads.add(stream, BigInt(revision), hash, previousHash);
    const follows = before?.revision === revision - 1 && before.hash === previousHash;
    yield { stream, answer, follows };
    last.set(stream, { revision, hash });
  }
}

test.each([9, 4096])('with %i places, an event follows only what was the last of its stream', (places) => {
  let [following, forgotten] = [0, 0];
  fc.assert(
    fc.property(addedEvents, (events) => {
      for (const { stream, answer, follows } of answers(new StreamHeads(places), events)) {
        if (answer) expect(follows).toBe(true);
        if (answer) following++;
        else if (follows && stream.length <= longestName) forgotten++;
      }
    }),
  );
  expect(following).toBeGreaterThan(100);
  // With few places streams push each other out; with many, none is forgotten.
  expect(forgotten > 0).toBe(places === 9);
});
