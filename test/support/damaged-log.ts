import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { onTestFinished } from 'vitest';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** An empty log in which events can be made unreadable. */
export function damageableLog() {
  const file = join(temporaryFolder(), 'events.db');
  const store = closedAfterTest(openSqliteEventStore({ file }));
  return { store, damage: (at: bigint, how?: Damage) => damage(file, at, how) };
}

/** A column of the event, and what is there instead. */
export type Damage = readonly [column: 'data' | 'metadata', text: string];

/** The text is no JSON, or says nothing that has a meaning. */
export const damages: readonly Damage[] = [
  ['data', '{"secretId":'],
  ['metadata', '{}'],
];

/**
 * Makes the event at a position of a SQLite log unreadable.
 *
 * @returns makes it what it was
 */
export function damage(file: string, at: bigint, [column, text]: Damage = ['data', '{']): () => void {
  const db = new DatabaseSync(file);
  onTestFinished(() => db.close());
  const was = db.prepare(`SELECT ${column} AS text FROM events WHERE position = ?`).get(at)?.['text'];
  if (typeof was !== 'string') throw new Error(`no event at ${at}`);
  const write = db.prepare(`UPDATE events SET ${column} = ? WHERE position = ?`);
  write.run(text, at);
  return () => void write.run(was, at);
}
