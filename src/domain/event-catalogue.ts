import type { EventSchemas } from './event-schema.ts';
import { type InstanceEvent, instanceEventSchemas } from './instance/decider.ts';
import { type MachineUserEvent, machineUserEventSchemas } from './machine-user/events.ts';
import { type OrganizationEvent, organizationEventSchemas } from './organization/decider.ts';
import { type UserNameEvent, userNameEventSchemas } from './user-name/decider.ts';

/** Every event type that Keyturn writes. `docs/events.md` shows them; a test holds the two together. */
export const eventCatalogue = {
  ...machineUserEventSchemas,
  ...organizationEventSchemas,
  ...instanceEventSchemas,
  ...userNameEventSchemas,
} as const satisfies EventSchemas;

export type KeyturnEvent = MachineUserEvent | OrganizationEvent | InstanceEvent | UserNameEvent;
