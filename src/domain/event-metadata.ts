import { z } from 'zod';

const longestAddress = 64;
const longestUserAgent = 256;

const originSchema = z.strictObject({
  /** IPv4 or IPv6 address of the connection. */
  address: z.string().min(1).max(longestAddress),
  /** What the caller's software calls itself (RFC 9110 section 10.1.5). */
  userAgent: z.string().min(1).max(longestUserAgent).exactOptional(),
});

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
  /** Where the request came from that caused the event; absent when none did, and in events of Keyturn 0.1. */
  origin: originSchema.exactOptional(),
  /** Hash of the event before this one in its stream; null for the first. */
  previousHash: z.string().min(1).nullable(),
});

export type EventMetadata = z.output<typeof eventMetadataSchema>;
export type Editor = EventMetadata['editor'];
export type Origin = z.output<typeof originSchema>;

/** An origin as events hold it: what a caller says of itself is cut to a bounded length. */
export function originOf(address: string, userAgent: string | undefined): Origin {
  const agent = userAgent?.slice(0, longestUserAgent).toWellFormed().trim();
  return { address: address.slice(0, longestAddress), ...(agent && { userAgent: agent }) };
}
