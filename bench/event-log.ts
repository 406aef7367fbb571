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

const organizationId = '100000000000000001';
const editor = { userId: '100000000000000002', organizationId };
const origin = { address: '192.0.2.17', userAgent: 'terraform-provider-zitadel/2.2.0' };
const eventsInTransaction = 50_000;

/**
 * Writes a log as Keyturn does, chained and with realistic sizes, straight into the file: 10,000,000 events would take
 * an hour through the port.
 */
export async function writeEventLog(file: string, { events, users }: EventLogSize): Promise<void> {
  await openSqliteEventStore({ file }).close();
  const db = new DatabaseSync(file);
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN');
  const insert = db.prepare(
    'INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const heads = new Map<string, { revision: bigint; hash: string; secretId: string }>();
  const start = Date.parse('2026-01-01T00:00:00.000Z');
  for (let index = 0; index < events; index++) {
    const user = index % users;
    const stream = `machineUser-${200_000_000_000_000_000n + BigInt(user)}`;
    const head = heads.get(stream);
    const revision = head === undefined ? 0n : head.revision + 1n;
    const secretId = createHash('sha256').update(`${user}/${revision}`).digest('hex').slice(0, 16);
    const recordedAt = start + index;
    const correlationId = randomUUID();
    const event = {
      stream,
      revision,
      id: randomUUID(),
      ...(head === undefined ? added(user) : secretSet(secretId, head.secretId)),
      metadata: {
        schemaVersion: 1,
        occurredAt: new Date(recordedAt).toISOString(),
        editor,
        origin,
        $correlationId: correlationId,
        $causationId: correlationId,
        previousHash: head?.hash ?? null,
      },
    };
    heads.set(stream, { revision, hash: hashOfEvent(event), secretId });
    const { id, type, data, metadata } = event;
    insert.run(stream, revision, id, type, JSON.stringify(data), JSON.stringify(metadata), recordedAt);
    if (index % eventsInTransaction === eventsInTransaction - 1) db.exec('COMMIT; BEGIN');
  }
  db.exec('COMMIT');
  db.close();
}

function added(user: number): { type: string; data: JsonObject } {
  return {
    type: 'MachineUserAdded',
    data: {
      organizationId,
      userName: `robot-${user}`,
      name: `Robot ${user}`,
      description: 'welds doors',
      accessTokenType: 'jwt',
    },
  };
}

function secretSet(secretId: string, replaced: string): { type: string; data: JsonObject } {
  const hashedSecret = `$2b$04$${secretId.padEnd(53, 'x')}`;
  return { type: 'MachineSecretSet', data: { secretId, hashedSecret, replacedSecretIds: [replaced] } };
}
