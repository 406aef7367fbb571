import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { linkOfEvent, linkOfStored } from '../../src/audit/chain-link.ts';
import { UnreadableEventError } from '../../src/eventstore/errors.ts';
import { type StoredEvent, toChainedEvent } from '../../src/eventstore/sqlite/stored-events.ts';
import { edited, editedText, edits, nearValues, textEdit } from '../support/edited-values.ts';
import { sampleEvents } from '../support/sample-events.ts';

/** One of each type, as the file holds it. */
const stored: readonly StoredEvent[] = sampleEvents().map(({ id, type, stream, data, metadata }, index) => ({
  ...{ id, type, stream, position: 1000 + index, revision: index },
  ...{ data: JSON.stringify(data), metadata: JSON.stringify(metadata) },
}));

/** All that a link tells; of one that has no hash, or cannot be read, why. */
function toldBy(linkOf: () => ReturnType<typeof linkOfStored>) {
  try {
    const link = linkOf();
    const { stream, revision, position, previousHash } = link;
    return { stream, revision, position, previousHash, event: link.event(), hash: link.hash() };
  } catch (error) {
    if (error instanceof UnreadableEventError || error instanceof TypeError) return error.message;
    throw error;
  }
}

/** From its text, and as an event that was parsed. */
function compare(event: StoredEvent): void {
  const parsed = toldBy(() => linkOfEvent(toChainedEvent(event)));
  expect(toldBy(() => linkOfStored(event))).toEqual(parsed);
}

test('a stored event of each type has the link that it has when it is parsed', () => {
  for (const event of stored) compare(event);
});

describe('an event that is nearly one of Keyturn has that link too', () => {
  const event = fc.constantFrom(...stored);
  const part = fc.constantFrom('data' as const, 'metadata' as const);

  it('whatever value is at whichever place', () => {
    for (const one of stored) {
      for (const name of ['data', 'metadata'] as const) {
        for (let place = 0; place < 12; place++) {
          for (const value of nearValues) {
            const other = edited(JSON.parse(one[name]), [{ place, change: { kind: 'replace', value } }]);
            compare({ ...one, [name]: JSON.stringify(other) ?? '' });
          }
        }
      }
    }
  });

  it('whatever was changed', () => {
    fc.assert(
      fc.property(event, part, edits, (one, name, todo) => {
        compare({ ...one, [name]: JSON.stringify(edited(JSON.parse(one[name]), todo)) ?? '' });
      }),
      { numRuns: 5000 },
    );
  });

  it('whatever stands in its texts', () => {
    fc.assert(
      fc.property(event, part, textEdit, (one, name, edit) => {
        compare({ ...one, [name]: editedText(one[name], edit) });
      }),
      { numRuns: 20_000 },
    );
  });

  it('whatever its id, its stream and its type are', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('é', '\n', '"', '\\', '\ud800', '😀', ''),
    );
    fc.assert(
      fc.property(
        event,
        fc.record({ id: text, stream: text, type: text }, { requiredKeys: [] }),
        (one, named) => {
          compare({ ...one, ...named });
        },
      ),
      { numRuns: 5000 },
    );
  });
});
