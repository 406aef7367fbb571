import { expect, test } from 'vitest';
import { aggregateTypes } from '../../src/api/admin/event-methods.ts';
import { zitadelEventTypes } from '../../src/api/messages/event-names.ts';
import * as aggregates from '../../src/domain/aggregates.ts';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';
import { addRobot, adminToken, managementClient, runningService } from '../support/running-service.ts';

async function listEvents(query: object) {
  const running = await runningService();
  const token = await adminToken(running);
  const robot = await addRobot(managementClient(running.url, token));
  const response = await fetch(`${running.url}/admin/v1/events/_search`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(query),
  });
  const { events = [] } = (await response.json()) as {
    events?: { aggregate: { id: string; resourceOwner: string }; type: { type: string }; payload: object }[];
  };
  return { running, robot, events };
}

test('every kind of stream and every event type has a name', () => {
  const categories = Object.values(aggregates).flatMap((one) =>
    typeof one === 'object' && 'category' in one ? one.category : [],
  );
  expect(Object.keys(aggregateTypes).toSorted()).toEqual(categories.toSorted());
  expect(new Set(Object.values(aggregateTypes)).size).toBe(categories.length);
  expect(zitadelEventTypes.length).toBe(Object.keys(eventCatalogue).length);
});

test('events are found by the organization that they belong to', async () => {
  const { running, robot, events } = await listEvents({ asc: true, aggregateTypes: ['user'] });
  const { organizationId } = running.admin;
  const owners = events.map(({ aggregate }) => aggregate.resourceOwner);
  expect(new Set(owners)).toEqual(new Set([organizationId]));
  expect(events.map(({ aggregate }) => aggregate.id)).toContain(robot.userId);
  expect((await listEvents({ resourceOwner: 'nobody' })).events).toEqual([]);
});

test('no event shows a hash or an encrypted key', async () => {
  const { events } = await listEvents({ asc: true, limit: 1000 });
  expect(events.length).toBeGreaterThan(8);
  expect(JSON.stringify(events)).not.toMatch(/\$2[aby]\$|encrypted|eyJ|hashedSecret/);
});
