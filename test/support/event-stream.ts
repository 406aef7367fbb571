import { randomUUID } from 'node:crypto';
import { EventSource } from 'eventsource';
import { onTestFinished } from 'vitest';
import type { EventStore, NewEvent } from '../../src/eventstore/event-store.ts';
import type { CloudEvent } from '../../src/subscriptions/cloud-event.ts';

/** Opens the event stream as a browser would, but with a bearer token. Closed when the test ends. */
export function openEventSource(
  url: string,
  token: () => string,
  headers: Readonly<Record<string, string>> = {},
) {
  const events: CloudEvent[] = [];
  const errors: { readonly code: number | undefined }[] = [];
  const source = new EventSource(url, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, ...headers, authorization: `Bearer ${token()}` } }),
  });
  source.addEventListener('message', ({ data, lastEventId }) => {
    const event = JSON.parse(data) as CloudEvent;
    if (event.position !== lastEventId) throw new Error(`id ${lastEventId} at position ${event.position}`);
    events.push(event);
  });
  source.addEventListener('error', ({ code }) => void errors.push({ code }));
  onTestFinished(() => source.close());
  const opened = new Promise<void>((resolve) => source.addEventListener('open', () => resolve()));
  return { source, events, errors, opened };
}

/** So many secrets set for one user, straight into the log: much faster than by hashing. */
export async function appendSecretsSet(store: EventStore, userId: string, count: number): Promise<void> {
  const secretSet = (): NewEvent => ({
    id: randomUUID(),
    type: 'MachineSecretSet',
    data: { secretId: randomUUID(), hashedSecret: '$2b$04$hash', replacedSecretIds: [] },
    metadata: {
      schemaVersion: 1,
      occurredAt: new Date().toISOString(),
      editor: null,
      $correlationId: 'test',
      $causationId: 'test',
      previousHash: 'hash',
    },
  });
  for (let left = count; left > 0; left -= 500) {
    await store.append(
      `machineUser-${userId}`,
      Array.from({ length: Math.min(left, 500) }, secretSet),
      'any',
    );
  }
}
