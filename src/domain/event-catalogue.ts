import { type AccessTokenEvent, accessTokenEventSchemas } from './access-token/decider.ts';
import { type CheckpointKeyEvent, checkpointKeyEventSchemas } from './checkpoint-key/decider.ts';
import { type ClientAssertionEvent, clientAssertionEventSchemas } from './client-assertion/decider.ts';
import { compiledWhenUsed } from './compiled-when-used.ts';
import type { Occurred } from './decider.ts';
import { type Editor, type EventMetadata, eventMetadataSchema } from './event-metadata.ts';
import { EventSchemaError, type EventSchemas, upcastEvent } from './event-schema.ts';
import { type InstanceEvent, instanceEventSchemas } from './instance/decider.ts';
import { type MachineSecretUseEvent, machineSecretUseEventSchemas } from './machine-secret-use/decider.ts';
import { type MachineUserEvent, machineUserEventSchemas } from './machine-user/events.ts';
import { type OrganizationEvent, organizationEventSchemas } from './organization/decider.ts';
import { type SecretPolicyEvent, secretPolicyEventSchemas } from './secret-policy/decider.ts';
import { type NodeEvent, nodeEventSchemas } from './subscription/node.ts';
import { type ParkedEventsEvent, parkedEventSchemas } from './subscription/parked-events.ts';
import { type ProgressEvent, progressEventSchemas } from './subscription/progress.ts';
import { type UserNameEvent, userNameEventSchemas } from './user-name/decider.ts';
import { type WebhookEvent, webhookEventSchemas } from './webhook/decider.ts';

/** Every event type that Keyturn writes. `docs/events.md` shows them; a test holds the two together. */
export const eventCatalogue = {
  ...machineUserEventSchemas,
  ...machineSecretUseEventSchemas,
  ...organizationEventSchemas,
  ...instanceEventSchemas,
  ...userNameEventSchemas,
  ...accessTokenEventSchemas,
  ...webhookEventSchemas,
  ...progressEventSchemas,
  ...parkedEventSchemas,
  ...nodeEventSchemas,
  ...clientAssertionEventSchemas,
  ...checkpointKeyEventSchemas,
  ...secretPolicyEventSchemas,
} as const satisfies EventSchemas;

export type KeyturnEvent =
  | MachineUserEvent
  | MachineSecretUseEvent
  | OrganizationEvent
  | InstanceEvent
  | UserNameEvent
  | AccessTokenEvent
  | WebhookEvent
  | ProgressEvent
  | ParkedEventsEvent
  | NodeEvent
  | ClientAssertionEvent
  | CheckpointKeyEvent
  | SecretPolicyEvent;

/** Reads an event as a store holds it. Throws {@link EventSchemaError} when it is not one that Keyturn wrote. */
export function readStoredEvent(stored: {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly metadata: unknown;
}): Occurred<KeyturnEvent> & { readonly editor: Editor } {
  const { schemaVersion, occurredAt, editor } = readStoredMetadata(stored);
  return { ...readStoredData(stored.type, stored.data, schemaVersion), occurredAt, editor };
}

const checkMetadata = compiledWhenUsed(eventMetadataSchema);

/** A part of {@link readStoredEvent}, for those who share the work: everything but the data. */
export function readStoredMetadata(stored: {
  readonly id: string;
  readonly type: string;
  readonly metadata: unknown;
}): EventMetadata {
  const metadata = checkMetadata(stored.metadata);
  if (!metadata.success) {
    throw new EventSchemaError(`event ${stored.id} (${stored.type}) has no readable metadata`);
  }
  return metadata.data;
}

/** The other part. */
export function readStoredData(
  type: string,
  data: Readonly<Record<string, unknown>>,
  schemaVersion: number,
): KeyturnEvent {
  return upcastEvent(eventCatalogue, type, data, schemaVersion) as KeyturnEvent;
}
