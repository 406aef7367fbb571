import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';
import { cloudEventJsonSchema } from '../../subscriptions/cloud-event.ts';
import type { Credentials } from '../authorization.ts';
import { provenRequestOf } from '../presented-access-token.ts';
import { authorizeReader } from './event-reader.ts';
import { EventStream, type EventStreamDependencies, type EventStreamReader } from './event-stream.ts';
import { readEventStreamQuery, ticketOf } from './event-stream-query.ts';
import { EventTexts } from './event-texts.ts';
import { type EventTickets, ticketLifetime } from './event-tickets.ts';
import { OpenStreams } from './open-streams.ts';

export interface EventStreamRoutesDependencies extends EventStreamDependencies {
  readonly tickets: EventTickets;
  readonly streamsPerUser: number;
}

/** Events as server-sent events, each a CloudEvent, and their JSON Schema. `docs/subscribers.md` describes them. */
export async function eventStreamRoutes(
  app: FastifyInstance,
  dependencies: EventStreamRoutesDependencies,
): Promise<void> {
  const { authorizer, feed, tickets, streamsPerUser } = dependencies;
  const streams = new OpenStreams(streamsPerUser);
  const texts = new EventTexts();
  app.addHook('preClose', async () => streams.endAll());

  app.get('/keyturn/v1/events/schema.json', async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=3600').type('application/schema+json');
    return JSON.stringify(cloudEventJsonSchema());
  });

  app.post('/keyturn/v1/events/tickets', async (request) => {
    const credentials = credentialsOf(request);
    const { userId } = await authorizeReader(
      authorizer,
      credentials,
      readEventStreamQuery(request.query, undefined),
    );
    const ticket = await tickets.issue(userId, {
      authorization: credentials.authorization ?? '',
      organizationId: credentials['x-zitadel-orgid'],
      query: request.query as Record<string, unknown>,
    });
    return { ticket, expiresIn: ticketLifetime };
  });

  app.get('/keyturn/v1/events', { exposeHeadRoute: false }, async (request, reply) => {
    let isGone = false;
    reply.raw.once('close', () => (isGone = true));
    const asked = askedFor(request, tickets);
    const { userId, selection } = await authorizeReader(authorizer, asked.credentials, asked.query);
    request.log = request.log.child({ userId });
    if (!feed.isRunning) throw new KeyturnError('NOT_READY');
    if (isGone) throw new KeyturnError('REQUEST_CANCELLED');
    const stream = streams.open(userId);
    const body = new EventStream(dependencies, texts, { ...asked, selection }, stream.signal).open({
      onDrop: () => request.log.info('event stream dropped, its reader is too slow'),
      onFailure: (error) => request.log.error({ err: error }, 'event stream failed'),
    });
    // Of the response, not of the body: that one closes only when it is asked for more.
    reply.raw.once('close', () => {
      stream.abort();
      request.log.info('event stream ended');
    });
    return reply.headers({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }).send(body);
  });
}

/** By a ticket, or by a token in the header. */
function askedFor(request: FastifyRequest, tickets: EventTickets): Omit<EventStreamReader, 'selection'> {
  const lastEventId = singleHeader(request.headers['last-event-id']);
  const ticket = ticketOf(request.query);
  if (ticket === undefined) {
    const query = readEventStreamQuery(request.query, lastEventId);
    return { credentials: credentialsOf(request), query, idSuffix: '' };
  }
  const { authorization, organizationId, query, ...redeemed } = tickets.redeem(ticket, lastEventId);
  return {
    // The key of a token that is bound to one was proven for the ticket.
    credentials: { authorization, 'x-zitadel-orgid': organizationId, proof: 'earlier' },
    query: readEventStreamQuery(query, redeemed.lastEventId),
    idSuffix: redeemed.idSuffix,
  };
}

function credentialsOf(request: FastifyRequest): Credentials {
  return {
    authorization: request.headers.authorization,
    'x-zitadel-orgid': singleHeader(request.headers['x-zitadel-orgid']),
    proof: provenRequestOf(request),
  };
}

function singleHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
