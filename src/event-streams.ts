import type { Logger } from 'pino';
import { CatchUpThread } from './api/events/catch-up-thread.ts';
import type { EventStreamRoutesDependencies } from './api/events/event-stream-routes.ts';
import { EventTickets } from './api/events/event-tickets.ts';
import type { Clock } from './application/command-handler.ts';
import type { InstanceLog } from './instance-log.ts';
import { LiveEventFeed } from './subscriptions/live-event-feed.ts';

export interface EventStreamConfig {
  /** How many event streams a user may have open. Default: 10. */
  readonly eventStreamsPerUser?: number | undefined;
  /** In milliseconds: an event stream is silent no longer than this. Default: 15 seconds. */
  readonly heartbeatInterval?: number | undefined;
  /** In milliseconds: how long a reader of an event stream may hold it up before it is dropped. Default: 30 seconds. */
  readonly slowReaderLimit?: number | undefined;
}

interface Dependencies {
  readonly log: InstanceLog;
  readonly issuer: () => string;
  /** Resolves when events up to the position may be told. */
  readonly visible: (position: bigint) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRelease: (release: () => Promise<void> | void) => void;
}

/** The feed of all who follow the log, and what its event streams over HTTP are made with. */
export interface EventStreams {
  /** Begins with its `start`. */
  readonly feed: LiveEventFeed;
  readonly eventStream: Omit<EventStreamRoutesDependencies, 'authorizer'>;
  /** Forgets texts that were made before an erasure. */
  forgetTexts(): void;
}

const defaultStreamsPerUser = 10;
/** In milliseconds: proxies end connections that are silent for longer, many after 30 or 60 seconds. */
const defaultHeartbeatInterval = 15_000;
/** In milliseconds. */
const defaultSlowReaderLimit = 30_000;

export function createEventStreams(
  config: EventStreamConfig,
  { log, issuer, visible, clock, logger, onRelease }: Dependencies,
): EventStreams {
  const heartbeatInterval = config.heartbeatInterval ?? defaultHeartbeatInterval;
  const catchUp =
    log.file &&
    new CatchUpThread({
      log: log.file,
      onFailure: (error) =>
        logger.warn({ err: error }, 'the thread for readers far behind fails, they are served without it'),
    });
  onRelease(() => catchUp?.close());
  const feed = new LiveEventFeed({ eventStore: log.opened, source: issuer, visible, heartbeatInterval });
  onRelease(() => feed.stop());
  return {
    feed,
    eventStream: {
      feed,
      catchUp,
      source: issuer,
      tickets: new EventTickets(log.masterKeys, clock),
      streamsPerUser: config.eventStreamsPerUser ?? defaultStreamsPerUser,
      heartbeatInterval,
      slowReaderLimit: config.slowReaderLimit ?? defaultSlowReaderLimit,
    },
    forgetTexts: () => catchUp?.forget(),
  };
}
