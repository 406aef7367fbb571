import { z } from 'zod';
import { KeyturnError } from '../../domain/errors.ts';
import { eventNameOf } from '../../subscriptions/cloud-event.ts';
import { isPublishedEventType, type PublishedEventType } from '../../subscriptions/published-events.ts';

/** What a caller asks the event stream for. */
export interface EventStreamQuery {
  /** Exclusive. Undefined: from now on. */
  readonly after: bigint | undefined;
  /** Empty: all. */
  readonly types: readonly PublishedEventType[];
  readonly userId: string | undefined;
  readonly organizationId: string | undefined;
}

const one = z.string().min(1).max(200);
const querySchema = z.strictObject({
  after: one.exactOptional(),
  /** May stand there several times. */
  type: z.union([one, z.array(one).max(100)]).exactOptional(),
  user: one.exactOptional(),
  organization: one.exactOptional(),
});

const ticketSchema = z.strictObject({ ticket: z.string().min(1).max(8192) });

/** The largest position of the log. */
const lastPosition = 2n ** 63n - 1n;

/**
 * @param lastEventId of the header, which an EventSource that connects again sends: it goes before `after`
 * @throws KeyturnError `QUERY_INVALID`
 */
export function readEventStreamQuery(query: unknown, lastEventId: string | undefined): EventStreamQuery {
  const result = querySchema.safeParse(query);
  if (!result.success) throw invalid(parameterAtFault(result.error));
  const { after, type = [], user, organization } = result.data;
  const position = lastEventId || after;
  return {
    after: position === undefined ? undefined : positionOf(position, lastEventId ? 'Last-Event-ID' : 'after'),
    types: [type].flat().map(typeOf),
    userId: user,
    organizationId: organization,
  };
}

/**
 * The ticket that stands for everything else; undefined where there is none.
 *
 * @throws KeyturnError `QUERY_INVALID`
 */
export function ticketOf(query: unknown): string | undefined {
  if (!Object.hasOwn(query as object, 'ticket')) return undefined;
  const result = ticketSchema.safeParse(query);
  if (result.success) return result.data.ticket;
  const [issue] = result.error.issues;
  if (issue?.code !== 'unrecognized_keys') throw invalid(parameterAtFault(result.error));
  throw invalid(`parameter ${JSON.stringify(issue.keys[0])} belongs to the request for the ticket`);
}

function positionOf(text: string, name: string): bigint {
  const position = /^\d{1,19}$/.test(text) ? BigInt(text) : lastPosition + 1n;
  if (position > lastPosition) throw invalid(`${name} must be a position of the log, a decimal number`);
  return position;
}

function typeOf(text: string): PublishedEventType {
  const name = eventNameOf(text);
  if (!isPublishedEventType(name)) throw invalid(`type ${JSON.stringify(text)} is not one that is published`);
  return name;
}

function parameterAtFault({ issues: [issue] }: z.ZodError): string {
  if (issue?.code === 'unrecognized_keys') return `parameter ${JSON.stringify(issue.keys[0])} is not known`;
  return `parameter ${JSON.stringify(issue?.path.join('.'))} is empty, too long or repeated`;
}

function invalid(fault: string): KeyturnError {
  return new KeyturnError('QUERY_INVALID', { text: `invalid query: ${fault}` });
}
