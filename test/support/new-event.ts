import { randomUUID } from 'node:crypto';
import type { NewEvent } from '../../src/eventstore/event-store.ts';

/** An event that stands for any other; `data.label` tells which one it is. */
export function newEvent(label = 'any', type = 'SomethingHappened'): NewEvent {
  return { id: randomUUID(), type, data: { label }, metadata: {} };
}

export function newEvents(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, index) => newEvent(String(index)));
}
