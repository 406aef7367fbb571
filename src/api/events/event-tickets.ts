import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { z } from 'zod';
import type { Clock } from '../../application/command-handler.ts';
import type { MasterKeys } from '../../application/master-keys.ts';
import { SealedTexts } from '../../application/sealed-texts.ts';
import { KeyturnError } from '../../domain/errors.ts';

/** Tells people and secret scanners what was found. */
const prefix = 'kte_';
/** In seconds: how long after it was given a ticket may open its stream. */
export const ticketLifetime = 60;
/** How many tickets a user is given a minute, by each node. */
const ticketsPerMinute = 30;
/** How many tickets that are used and not expired yet are remembered. */
const mostUsed = 100_000;

/** What the holder of a ticket may open: the stream that was asked for, with the token that was presented then. */
const grantSchema = z.object({
  /** The header of the request for the ticket. */
  authorization: z.string(),
  /** `x-zitadel-orgid` of that request. */
  organizationId: z.string().optional(),
  /** Its query. */
  query: z.record(z.string(), z.unknown()),
});
const ticketSchema = grantSchema.extend({
  id: z.uuid(),
  /** In milliseconds since 1970. */
  issuedAt: z.number(),
  reconnectKey: z.string(),
});

export type TicketGrant = z.output<typeof grantSchema>;

export interface RedeemedTicket extends TicketGrant {
  /** Of the stream's ids: `Last-Event-ID` of a reader that connects again ends with it. */
  readonly idSuffix: string;
  /** Without the suffix. */
  readonly lastEventId: string | undefined;
}

/**
 * Tickets for event streams, for the EventSource of browsers, which sends no header: a ticket stands in the URL, and is worth
 * nothing to who finds it there later. It opens its stream once, within a minute. The ids of that stream carry a key
 * that the URL does not hold; with it, in `Last-Event-ID`, the reader may connect again. `docs/adr/0024` tells why.
 *
 * A ticket is sealed under a key that is derived from the master key, so that every node takes those of every other.
 * Which are used up each node remembers for itself.
 */
export class EventTickets {
  readonly #sealed: SealedTexts;
  readonly #clock: Clock;
  readonly #limit = new RateLimiterMemory({ points: ticketsPerMinute, duration: 60 });
  /** Until when they have to be remembered, by id, the oldest first. */
  readonly #used = new Map<string, number>();
  /** What was used before this process is not known: only tickets since then are taken. */
  readonly #startedAt: number;

  constructor(masterKeys: MasterKeys, clock: Clock) {
    this.#sealed = new SealedTexts(masterKeys.derive('event stream tickets'));
    this.#clock = clock;
    this.#startedAt = clock().getTime();
  }

  /** @throws KeyturnError `TOO_MANY_TICKETS` */
  async issue(userId: string, grant: TicketGrant): Promise<string> {
    await this.#limit.consume(userId).catch(() => {
      throw new KeyturnError('TOO_MANY_TICKETS');
    });
    const ticket: z.input<typeof ticketSchema> = {
      ...grant,
      id: randomUUID(),
      issuedAt: this.#clock().getTime(),
      reconnectKey: randomBytes(16).toString('base64url'),
    };
    return prefix + this.#sealed.seal(JSON.stringify(ticket));
  }

  /**
   * Whether the token behind it is still good is for the caller to find out.
   *
   * @throws KeyturnError `TICKET_INVALID`
   */
  redeem(ticket: string, lastEventId: string | undefined): RedeemedTicket {
    const sealed = ticket.startsWith(prefix) ? ticket.slice(prefix.length) : '';
    const opened = ticketSchema.safeParse(JSON.parse(this.#sealed.open(sealed) ?? 'null'));
    if (!opened.success) throw new KeyturnError('TICKET_INVALID');
    const { id, issuedAt, reconnectKey, ...grant } = opened.data;
    const [, position, key] = /^(.*)\.([\w-]{22})$/.exec(lastEventId ?? '') ?? [];
    if (key === undefined) this.#use(id, issuedAt);
    else if (!timingSafeEqual(Buffer.from(key), Buffer.from(reconnectKey))) {
      throw new KeyturnError('TICKET_INVALID');
    }
    return { ...grant, idSuffix: `.${reconnectKey}`, lastEventId: position ?? lastEventId };
  }

  #use(id: string, issuedAt: number): void {
    const now = this.#clock().getTime();
    for (const [used, until] of this.#used) {
      if (until > now) break;
      this.#used.delete(used);
    }
    const lifetime = ticketLifetime * 1000;
    // A node whose clock is ahead gives tickets of the future.
    const isOfNow = Math.abs(now - issuedAt) <= lifetime && issuedAt >= this.#startedAt;
    const isFree = !this.#used.has(id) && this.#used.size < mostUsed;
    if (!isOfNow || !isFree) throw new KeyturnError('TICKET_INVALID');
    this.#used.set(id, now + 2 * lifetime);
  }
}
