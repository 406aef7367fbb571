import { createHash, randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import type { JsonObject } from '../src/eventstore/event-store.ts';
import { hashOfEvent } from '../src/eventstore/hash-chain.ts';
import { openSqliteEventStore } from '../src/eventstore/sqlite/sqlite-event-store.ts';

export interface EventLogSize {
  readonly events: number;
  /** Machine users that share the events; each gets as many, a secret set again and again. */
  readonly users: number;
}

/** An event as it is decided; the rest follows from where it is written. */
export interface EventToWrite {
  readonly stream: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: JsonObject;
}

const organizationId = '100000000000000001';
const origin = { address: '192.0.2.17', userAgent: 'terraform-provider-zitadel/2.2.0' };
const eventsInTransaction = 50_000;

/** Writes a log as Keyturn does, chained and with realistic sizes. */
export async function writeEventLog(file: string, size: EventLogSize): Promise<void> {
  await openSqliteEventStore({ file }).close();
  writeEvents(file, organizationId, eventsInTurn(size));
}

/**
 * Writes events of new streams to the end of a log, straight into its file: 10,000,000 events would take an hour through the
 * port. Nobody else may have the log open.
 */
export function writeEvents(file: string, organizationId: string, events: Iterable<EventToWrite>): void {
  const db = new DatabaseSync(file);
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN');
  const insert = db.prepare(
    'INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const editor = { userId: '100000000000000002', organizationId };
  const heads = new Map<string, { revision: bigint; hash: string }>();
  const start = Date.parse('2026-01-01T00:00:00.000Z');
  let written = 0;
  for (const { stream, type, schemaVersion, data } of events) {
    const head = heads.get(stream);
    const revision = head === undefined ? 0n : head.revision + 1n;
    const recordedAt = start + written++;
    const correlationId = randomUUID();
    const metadata = {
      schemaVersion,
      occurredAt: new Date(recordedAt).toISOString(),
      editor,
      origin,
      $correlationId: correlationId,
      $causationId: correlationId,
      previousHash: head?.hash ?? null,
    };
    const id = randomUUID();
    heads.set(stream, { revision, hash: hashOfEvent({ stream, revision, id, type, data, metadata }) });
    insert.run(stream, revision, id, type, JSON.stringify(data), JSON.stringify(metadata), recordedAt);
    if (written % eventsInTransaction === 0) db.exec('COMMIT; BEGIN');
  }
  db.exec('COMMIT');
  db.close();
}

/** Of all users in turn. */
function* eventsInTurn({ events, users }: EventLogSize): Generator<EventToWrite> {
  const secretIds = new Map<number, string>();
  for (let index = 0; index < events; index++) {
    const user = index % users;
    const stream = `machineUser-${200_000_000_000_000_000n + BigInt(user)}`;
    const replaced = secretIds.get(user);
    const secretId = createHash('sha256').update(`${user}/${index}`).digest('hex').slice(0, 16);
    secretIds.set(user, secretId);
    yield index < users
      ? { stream, ...userAdded(organizationId, `robot-${user}`, 'jwt') }
      : { stream, ...secretSet(secretId, `$2b$04$${secretId.padEnd(53, 'x')}`, replaced) };
  }
}

export function userAdded(organizationId: string, userName: string, accessTokenType: 'jwt' | 'bearer') {
  const about = { name: `Robot ${userName}`, description: 'welds doors' };
  const data = { organizationId, userName, ...about, accessTokenType };
  return { type: 'MachineUserAdded', schemaVersion: 1, data };
}

export function secretSet(secretId: string, hashedSecret: string, replaced: string | undefined) {
  const replacedSecretIds = replaced === undefined ? [] : [replaced];
  return { type: 'MachineSecretSet', schemaVersion: 2, data: { secretId, hashedSecret, replacedSecretIds } };
}
