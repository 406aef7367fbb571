import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';
import { cloudEventJsonSchema } from '../../subscriptions/cloud-event.ts';
import type { EventFeed } from '../../subscriptions/event-feed.ts';
import type { EventSelection } from '../../subscriptions/feed-event.ts';
import type { Authorizer, Credentials } from '../authorization.ts';
import { provenRequestOf } from '../presented-access-token.ts';
import { singleHeader } from '../single-header.ts';
import { type EventStreamQuery, readEventStreamQuery } from './event-stream-query.ts';
import { EventTexts } from './event-texts.ts';
import { OpenStreams } from './open-streams.ts';

export interface EventStreamDependencies {
  readonly authorizer: Authorizer;
  readonly feed: EventFeed & {
    readonly isRunning: boolean;
    readonly position: bigint;
    readonly accessVersion: number;
  };
  readonly streamsPerUser: number;
  /** In milliseconds: a stream is silent no longer than this. */
  readonly heartbeatInterval: number;
  /** In milliseconds: how long a reader may take to read what was sent, before it is dropped. */
  readonly slowReaderLimit: number;
}

const required = { kind: 'permission', permission: 'events.read' } as const;
/** In milliseconds: how old a check of the caller's token may be when an event is sent. */
const accessCheckInterval = 1000;
/** In milliseconds: when an EventSource connects again. */
const reconnectDelay = 1000;

/** Events as server-sent events, each a CloudEvent, and their JSON Schema. `docs/subscribers.md` describes them. */
export async function eventStreamRoutes(
  app: FastifyInstance,
  dependencies: EventStreamDependencies,
): Promise<void> {
  const streams = new OpenStreams(dependencies.streamsPerUser);
  const texts = new EventTexts();
  app.addHook('preClose', async () => streams.endAll());

  app.get('/keyturn/v1/events/schema.json', async (_request, reply) => {
    reply.header('cache-control', 'public, max-age=3600').type('application/schema+json');
    return JSON.stringify(cloudEventJsonSchema());
  });

  app.get('/keyturn/v1/events', { exposeHeadRoute: false }, async (request, reply) => {
    const credentials = credentialsOf(request);
    const query = readEventStreamQuery(request.query, singleHeader(request.headers['last-event-id']));
    const { userId, selection } = await authorizeReader(dependencies.authorizer, credentials, query);
    request.log = request.log.child({ userId });
    if (!dependencies.feed.isRunning) throw new KeyturnError('NOT_READY');
    const stream = streams.open(userId);
    const body = new EventStream(dependencies, texts, credentials, query, selection, stream.signal).open(() =>
      request.log.info('event stream dropped, its reader is too slow'),
    );
    // Of the response, not of the body: that one closes only when it is asked for more.
    reply.raw.once('close', () => {
      stream.abort();
      request.log.info('event stream ended');
    });
    return reply.headers({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }).send(body);
  });
}

/**
 * Who may read what: an organization's reader its organization, a reader of the instance everything, or the
 * organization that it asks for.
 *
 * @throws KeyturnError what authorization refuses
 */
async function authorizeReader(
  authorizer: Authorizer,
  credentials: Credentials,
  { types, userId, organizationId: asked }: EventStreamQuery,
): Promise<{ userId: string; selection: EventSelection }> {
  const caller = await authorizer.authorize(required, credentials);
  if (caller === undefined) throw new KeyturnError('AUTH_HEADER_MISSING');
  const isEverywhere = authorizer.isAllowedEverywhere(caller, required.permission);
  if (!isEverywhere && asked !== undefined && asked !== caller.organizationId) {
    throw new KeyturnError('PERMISSION_MISSING');
  }
  const isLimited = !isEverywhere || credentials['x-zitadel-orgid'] !== undefined;
  const organizationId = asked ?? (isLimited ? caller.organizationId : undefined);
  return { userId: caller.userId, selection: { types, userId, organizationId } };
}

/** What one caller is sent. */
class EventStream {
  readonly #dependencies: EventStreamDependencies;
  readonly #eventTexts: EventTexts;
  readonly #credentials: Credentials;
  readonly #query: EventStreamQuery;
  readonly #selection: EventSelection;
  readonly #signal: AbortSignal;
  #checkedVersion: number;
  #checkedAt = performance.now();
  #sentAt = performance.now();

  constructor(
    dependencies: EventStreamDependencies,
    eventTexts: EventTexts,
    credentials: Credentials,
    query: EventStreamQuery,
    selection: EventSelection,
    signal: AbortSignal,
  ) {
    this.#dependencies = dependencies;
    this.#eventTexts = eventTexts;
    this.#credentials = credentials;
    this.#query = query;
    this.#selection = selection;
    this.#signal = signal;
    this.#checkedVersion = dependencies.feed.accessVersion;
  }

  /** What is not read yet stays in the log, not in memory. Destroyed when the reader is too slow. */
  open(onDrop: () => void): Readable {
    const drop = () => {
      onDrop();
      stream.destroy();
    };
    const stream: Readable = Readable.from(this.#whileRead(drop), { highWaterMark: 1 });
    return stream;
  }

  async *#whileRead(drop: () => void): AsyncGenerator<string | Buffer> {
    for await (const text of this.#texts()) {
      const timer = setTimeout(drop, this.#dependencies.slowReaderLimit);
      try {
        yield text;
      } finally {
        clearTimeout(timer);
      }
      this.#sentAt = performance.now();
    }
  }

  async *#texts(): AsyncGenerator<string | Buffer> {
    const { feed, heartbeatInterval } = this.#dependencies;
    const after = this.#query.after ?? feed.position;
    const selectionKey = JSON.stringify(this.#selection);
    // With an id, so that a reader that is cut off before the first event misses nothing.
    yield `retry: ${reconnectDelay}\nid: ${after}\n\n`;
    for await (const batch of feed.follow({ after, signal: this.#signal })) {
      if (!(await this.#mayStillRead())) return;
      const text = this.#eventTexts.textOf(batch, this.#selection, selectionKey);
      if (text.length > 0) yield text;
      else if (performance.now() - this.#sentAt >= heartbeatInterval * 0.9)
        yield `: heartbeat\nid: ${batch.position}\n\n`;
    }
  }

  /** Not asked for each event: only when something happened that may have changed it, and from time to time. */
  async #mayStillRead(): Promise<boolean> {
    const { feed, authorizer } = this.#dependencies;
    const isRecent = performance.now() - this.#checkedAt < accessCheckInterval;
    if (isRecent && feed.accessVersion === this.#checkedVersion) return true;
    this.#checkedVersion = feed.accessVersion;
    this.#checkedAt = performance.now();
    try {
      const { selection } = await authorizeReader(authorizer, this.#credentials, this.#query);
      return selection.organizationId === this.#selection.organizationId;
    } catch (error) {
      if (error instanceof KeyturnError) return false;
      throw error;
    }
  }
}

function credentialsOf(request: FastifyRequest): Credentials {
  return {
    authorization: request.headers.authorization,
    'x-zitadel-orgid': singleHeader(request.headers['x-zitadel-orgid']),
    proof: provenRequestOf(request),
  };
}
