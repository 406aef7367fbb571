import { z } from 'zod';

/** What every event carries beside its data. `docs/events.md` describes it for readers. */
export const eventMetadataSchema = z.looseObject({
  schemaVersion: z.int().min(1),
  /** RFC 3339 in UTC with milliseconds, from the clock of the process that decided. */
  occurredAt: z.iso.datetime({ precision: 3 }),
  /** Whose token caused the event, and the organization of that user; null when Keyturn itself did. */
  editor: z.strictObject({ userId: z.string().min(1), organizationId: z.string().min(1) }).nullable(),
  /** The same for all that one request caused. The names with `$` are those that EventStoreDB's tools know. */
  $correlationId: z.string().min(1),
  $causationId: z.string().min(1),
  /** Hash of the event before this one in its stream; null for the first. */
  previousHash: z.string().min(1).nullable(),
});

export type EventMetadata = z.output<typeof eventMetadataSchema>;
export type Editor = EventMetadata['editor'];
