import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { CommandHandler } from './application/command-handler.ts';
import type { MasterKeys } from './application/master-keys.ts';
import type { EventStore } from './eventstore/event-store.ts';
import type { WebhookView } from './projections/webhooks.ts';
import type { LiveEventFeed } from './subscriptions/live-event-feed.ts';
import type { RetryPolicy } from './subscriptions/retry-policy.ts';
import { NodeLeases, soleNode } from './subscriptions/webhooks/leases.ts';
import { TargetPolicy } from './subscriptions/webhooks/target-policy.ts';
import { WebhookDispatcher, webhookRetryPolicy } from './subscriptions/webhooks/webhook-dispatcher.ts';
import { WebhookSender } from './subscriptions/webhooks/webhook-sender.ts';
import { type WebhookDirectory, Webhooks } from './subscriptions/webhooks/webhooks.ts';

export interface WebhookConfig {
  /** Whether webhooks may go over plain HTTP. Default: no. */
  readonly webhookAllowHttp?: boolean | undefined;
  /** In CIDR notation: networks that are not public, and that webhooks may lead to all the same. Default: none. */
  readonly webhookAllowedNetworks?: readonly string[] | undefined;
  /** In hours: a webhook is disabled when nothing has arrived for so long. Default: five days. */
  readonly webhookDisableAfter?: number | undefined;
  /** Default: retries over a day. */
  readonly webhookRetry?: Partial<RetryPolicy> | undefined;
  /** In milliseconds: how long a target may take to answer. Default: 15 seconds. */
  readonly webhookTimeout?: number | undefined;
  /** In milliseconds: how much of the deliveries before a crash may come again. Default: 10 seconds. */
  readonly webhookSaveInterval?: number | undefined;
}

export interface WebhookParts {
  /** Other processes work on the event store too. */
  readonly isShared: boolean;
  readonly issuer: () => string;
  readonly eventStore: EventStore;
  readonly feed: LiveEventFeed;
  readonly commands: CommandHandler;
  readonly directory: WebhookDirectory & { webhooks(): WebhookView[] };
  readonly masterKeys: MasterKeys;
  readonly logger: Logger;
  readonly onRelease: (release: () => Promise<void> | void) => void;
}

const millisecondsInHour = 60 * 60 * 1000;
/** In hours: what Standard Webhooks advises. */
const defaultDisableAfter = 5 * 24;
/** In milliseconds. */
const defaultTimeout = 15_000;
/** In milliseconds. */
const defaultSaveInterval = 10_000;
/** In milliseconds: how often a node says that it is alive, where several share an event store, */
const beatInterval = 3000;
/** and after how long a silent one is taken for dead. */
const leaseExpiry = 10_000;
/** In milliseconds. */
const takeoverInterval = 1000;

/** Puts the parts of webhooks together. Deliveries begin with the dispatcher's `start`. */
export function createWebhookDelivery(
  config: WebhookConfig,
  { isShared, issuer, eventStore, feed, commands, directory, masterKeys, logger, onRelease }: WebhookParts,
): { webhooks: Webhooks; dispatcher: WebhookDispatcher } {
  const policy = new TargetPolicy({
    allowHttp: config.webhookAllowHttp ?? false,
    allowedNetworks: config.webhookAllowedNetworks ?? [],
  });
  const webhooks = new Webhooks({ commands, directory, masterKeys, policy });
  const sender = new WebhookSender({ policy, timeout: config.webhookTimeout ?? defaultTimeout });
  onRelease(() => sender.close());
  const nodeId = `${hostname()}:${process.pid}:${randomUUID()}`;
  const leases = isShared
    ? new NodeLeases({
        nodeId,
        commands,
        feed,
        isNeeded: () => directory.webhooks().length > 0,
        beatInterval,
        expiry: leaseExpiry,
        onError: (error) => logger.warn({ err: error }, 'this node could not tell that it is alive'),
      })
    : soleNode;
  const dispatcher = new WebhookDispatcher({
    nodeId,
    source: issuer,
    eventStore,
    feed,
    commands,
    webhooks,
    directory,
    sender,
    leases,
    takeoverInterval,
    retry: { ...webhookRetryPolicy, ...config.webhookRetry },
    disableAfter: (config.webhookDisableAfter ?? defaultDisableAfter) * millisecondsInHour,
    saveInterval: config.webhookSaveInterval ?? defaultSaveInterval,
    onError: (webhookId, error) => logger.error({ err: error, webhookId }, 'deliveries to a webhook failed'),
  });
  onRelease(() => dispatcher.stop());
  return { webhooks, dispatcher };
}
