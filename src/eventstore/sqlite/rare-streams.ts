import type { DatabaseSync } from 'node:sqlite';

/** Up to so many events the index of streams finds them faster than a walk through the log does. */
const fewEvents = 10_000;

/**
 * The positions of all events in streams whose name begins with one of `prefixes`, in ascending order, where those are
 * few; undefined where they are many. So a filter that asks for little does not read a log of millions of events.
 */
export function positionsOfRareStreams(db: DatabaseSync, prefixes: readonly string[]): bigint[] | undefined {
  const statement = db.prepare(
    'SELECT position FROM events WHERE stream >= ? AND stream < ? || char(0x10FFFF) LIMIT ?',
  );
  statement.setReadBigInts(true);
  const positions = new Set<bigint>();
  for (const prefix of prefixes) {
    const rows = statement.all(prefix, prefix, fewEvents);
    for (const row of rows) positions.add(row['position'] as bigint);
    if (positions.size >= fewEvents) return undefined;
  }
  return [...positions].sort((a, b) => (a < b ? -1 : 1));
}
