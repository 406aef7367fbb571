import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CommandContext, CommandHandler } from '../../application/command-handler.ts';
import { idOfStream, streamOf, subscription, webhook as webhookAggregate } from '../../domain/aggregates.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { EventStore, RecordedEvent } from '../../eventstore/event-store.ts';
import type { WebhookView } from '../../projections/webhooks.ts';
import { testCloudEvent, testType } from '../cloud-event.ts';
import { type FeedEvent, isSelected } from '../feed-event.ts';
import type { LiveEventFeed } from '../live-event-feed.ts';
import type { PublishedEventType } from '../published-events.ts';
import { type RetryPolicy, retryDelay } from '../retry-policy.ts';
import { webhookSubscriptionPrefix } from '../subscribe.ts';
import { type Attempt, type FailedAttempt, SubscriptionWorker } from '../subscription-worker.ts';
import type { Leases } from './leases.ts';
import { deliverWebhook, TargetGoneError } from './webhook-delivery.ts';
import type { WebhookSender } from './webhook-sender.ts';
import type { WebhookDirectory, Webhooks } from './webhooks.ts';

/** One attempt to deliver, for people who look for what went wrong. */
export interface DeliveryAttempt {
  readonly eventId: string;
  readonly type: string;
  readonly attempt: number;
  /** RFC 3339. */
  readonly attemptedAt: string;
  /** In milliseconds. */
  readonly duration: number;
  /** Undefined: it arrived. */
  readonly error: string | undefined;
}

export interface WebhookDispatcherOptions {
  readonly nodeId: string;
  /** The issuer: `source` of test events. */
  readonly source: () => string;
  readonly eventStore: EventStore;
  readonly feed: Pick<LiveEventFeed, 'follow' | 'eventAt' | 'watch' | 'isRunning'>;
  readonly commands: CommandHandler;
  readonly webhooks: Webhooks;
  readonly directory: WebhookDirectory & { webhooks(): WebhookView[] };
  readonly sender: WebhookSender;
  readonly leases: Leases;
  /** In milliseconds: how often a node looks whether it may deliver in the place of another one. */
  readonly takeoverInterval: number;
  readonly retry: RetryPolicy;
  /** In milliseconds: a webhook is disabled when nothing has arrived for so long. */
  readonly disableAfter: number;
  /** In milliseconds: how old progress may be that is not saved yet. */
  readonly saveInterval: number;
  /** `webhookId`: undefined where it is about none, or all. */
  readonly onError: (webhookId: string | undefined, error: unknown) => void;
}

interface Running {
  readonly stopping: AbortController;
  readonly finished: Promise<void>;
}

export const webhookRetryPolicy: RetryPolicy = {
  firstDelay: 5000,
  factor: 3,
  longestDelay: 3 * 60 * 60 * 1000,
  maxAttempts: Number.POSITIVE_INFINITY,
  giveUpAfter: 24 * 60 * 60 * 1000,
  longestOutageDelay: 5 * 60 * 1000,
};

/** Deliveries under way to one target. */
const concurrency = 8;
const maxPending = 1000;
const recentAttempts = 50;
/** When a worker is started again that has ended, by how often it failed in a row. Each start writes to the log. */
const restartPolicy = { firstDelay: 1000, factor: 2, longestDelay: 5 * 60 * 1000 };
/** In milliseconds: a timer takes no more. */
const longestTimer = 2 ** 31 - 1;

/** Runs a worker for each webhook that is enabled: a target that is slow or dead holds up its own worker only. */
export class WebhookDispatcher {
  readonly #options: WebhookDispatcherOptions;
  readonly #stop = new AbortController();
  readonly #running = new Map<string, Running>();
  readonly #recent = new Map<string, DeliveryAttempt[]>();
  /** How often the worker of a webhook failed since something arrived. */
  readonly #failures = new Map<string, number>();
  #following: Promise<void> | undefined;

  constructor(options: WebhookDispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    const { directory, leases } = this.#options;
    leases.start();
    for (const { webhookId } of directory.webhooks()) this.#reconcile(webhookId);
    this.#following = this.#follow().catch((error: unknown) => this.#options.onError(undefined, error));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const { stopping } of this.#running.values()) stopping.abort();
    await Promise.all([...this.#running.values()].map(({ finished }) => finished));
    await this.#following;
    await this.#options.leases.stop();
  }

  /** The last attempts in this process, newest first. */
  recentAttempts(webhookId: string): readonly DeliveryAttempt[] {
    return this.#recent.get(webhookId)?.toReversed() ?? [];
  }

  /** Sends a test event, once and now. */
  async test(webhookId: string): Promise<DeliveryAttempt> {
    const { directory, source, commands } = this.#options;
    const webhook = directory.webhookById(webhookId);
    if (webhook === undefined) throw new KeyturnError('WEBHOOK_NOT_FOUND');
    const id = randomUUID();
    const { organizationId } = webhook;
    const event = testCloudEvent({ id, source: source(), webhookId, organizationId, time: commands.now() });
    const message = { eventId: id, type: testType, body: JSON.stringify(event), attempt: 1 };
    return (await this.#send(webhook, message, this.#stop.signal)).attempt;
  }

  async #follow(): Promise<void> {
    const accept = ({ stream, type }: RecordedEvent) =>
      stream.startsWith(`${webhookAggregate.category}-`) || type === 'SubscriptionClaimed';
    for await (const recorded of this.#options.feed.watch(accept, this.#stop.signal)) {
      if (recorded.type === 'SubscriptionClaimed') this.#yieldTo(recorded);
      else this.#reconcile(idOfStream(recorded.stream));
    }
  }

  /** Another node claimed a webhook: the worker here, if there is one, need not find out by being refused. */
  #yieldTo({ stream, data }: RecordedEvent): void {
    if (data['nodeId'] === this.#options.nodeId) return;
    const webhookId = idOfStream(stream).slice(webhookSubscriptionPrefix.length);
    if (stream === streamOf(subscription, subscriptionOf(webhookId))) {
      this.#running.get(webhookId)?.stopping.abort();
    }
  }

  /** Starts or stops the worker, as the webhook is now. */
  #reconcile(webhookId: string): void {
    if (this.#stop.signal.aborted) return;
    const webhook = this.#options.directory.webhookById(webhookId);
    const running = this.#running.get(webhookId);
    if (webhook?.isEnabled !== true) running?.stopping.abort();
    else if (running === undefined) this.#startWorker(webhookId);
    if (webhook !== undefined) return;
    this.#recent.delete(webhookId);
    this.#failures.delete(webhookId);
  }

  #startWorker(webhookId: string): void {
    const stopping = new AbortController();
    const finished = this.#run(webhookId, stopping)
      .catch((error: unknown) => {
        if (error instanceof KeyturnError && error.code === 'SUBSCRIPTION_TAKEN_OVER') return;
        this.#failures.set(webhookId, (this.#failures.get(webhookId) ?? 0) + 1);
        this.#options.onError(webhookId, error);
      })
      .finally(() => this.#ended(webhookId));
    this.#running.set(webhookId, { stopping, finished });
  }

  /** It may have been enabled again while it was stopping. Where the feed has ended, so would each new worker. */
  #ended(webhookId: string): void {
    this.#running.delete(webhookId);
    const restart = () => {
      if (this.#options.feed.isRunning) this.#reconcile(webhookId);
    };
    const failures = this.#failures.get(webhookId) ?? 0;
    setTimeout(restart, retryDelay(restartPolicy, Math.max(1, failures))).unref();
  }

  async #run(webhookId: string, stopping: AbortController): Promise<void> {
    const { signal } = stopping;
    const { nodeId, feed, commands, retry, saveInterval, onError } = this.#options;
    const previous = await this.#turn(webhookId, signal);
    if (previous === undefined) return;
    const worker = new SubscriptionWorker({
      name: subscriptionOf(webhookId),
      nodeId,
      supersedes: previous.workerId,
      feed,
      commands,
      after: await this.#beginOf(webhookId),
      accept: (event) => this.#isWanted(webhookId, event),
      deliver: (event, attempt) => this.#deliver(webhookId, event, attempt),
      retry,
      concurrency,
      maxPending,
      saveInterval,
      onFailedAttempt: (failed) => this.#noteFailure(webhookId, failed),
      onSaveError: (error) => onError(webhookId, error),
    });
    const lease = this.#stopWithLease(stopping);
    try {
      await worker.run(signal);
    } finally {
      lease.stopWatching();
    }
  }

  /** Another node may deliver once the lease has ended: what is under way by then is cut off. */
  #stopWithLease(stopping: AbortController): { stopWatching(): void } {
    let timer: NodeJS.Timeout | undefined;
    const watch = () => {
      const validFor = this.#options.leases.validFor();
      if (validFor > 0) timer = setTimeout(watch, Math.min(Math.ceil(validFor), longestTimer)).unref();
      else stopping.abort();
    };
    watch();
    return { stopWatching: () => clearTimeout(timer) };
  }

  /**
   * Waits until this node may deliver: when no node that is alive holds the webhook.
   *
   * @returns the worker that held it last, null for none; undefined at the abort
   */
  async #turn(webhookId: string, signal: AbortSignal): Promise<{ workerId: string | null } | undefined> {
    const { commands, leases, nodeId, takeoverInterval } = this.#options;
    while (!signal.aborted) {
      const { worker } = (await commands.load(subscription, subscriptionOf(webhookId))).state;
      const isHeld = worker !== undefined && worker.nodeId !== nodeId && leases.isAlive(worker.nodeId);
      if (!isHeld && leases.validFor() > 0) return { workerId: worker?.workerId ?? null };
      await delay(takeoverInterval, undefined, { signal }).catch(() => {});
    }
    return undefined;
  }

  /** Where its first event says that it begins: there, or after that event. */
  async #beginOf(webhookId: string): Promise<bigint> {
    const stream = streamOf(webhookAggregate, webhookId);
    for await (const { data, position } of this.#options.eventStore.readStream(stream, { limit: 1 })) {
      return typeof data['after'] === 'string' ? BigInt(data['after']) : position;
    }
    throw new Error(`webhook ${webhookId} has no events`);
  }

  #isWanted(webhookId: string, event: FeedEvent): boolean {
    const webhook = this.#options.directory.webhookById(webhookId);
    if (webhook === undefined) return false;
    const { organizationId, userId, types } = webhook;
    return isSelected(event, {
      organizationId,
      userId: userId || undefined,
      types: types as PublishedEventType[],
    });
  }

  async #deliver(webhookId: string, event: FeedEvent, { number, signal }: Attempt): Promise<void> {
    // Another node may deliver by now.
    if (this.#options.leases.validFor() === 0) {
      this.#running.get(webhookId)?.stopping.abort();
      throw new Error('this node was not heard of for too long');
    }
    const webhook = this.#options.directory.webhookById(webhookId);
    // Removed while its last deliveries were waiting.
    if (webhook === undefined) return;
    const { id: eventId, type } = event.recorded;
    const message = { eventId, type, body: event.json, attempt: number };
    const { error } = await this.#send(webhook, message, signal);
    if (error !== undefined) throw error;
  }

  async #send(
    { webhookId, url }: WebhookView,
    message: {
      readonly eventId: string;
      readonly type: string;
      readonly body: string;
      readonly attempt: number;
    },
    signal: AbortSignal,
  ): Promise<{ attempt: DeliveryAttempt; error: Error | undefined }> {
    const { sender, webhooks, commands } = this.#options;
    const { eventId, type, body, attempt: number } = message;
    const begin = performance.now();
    const now = commands.now();
    const secrets = await webhooks.signingSecrets(webhookId);
    const error = await deliverWebhook(sender, { url, secrets, eventId, body, now, signal }).then(
      () => undefined,
      (failure: Error) => failure,
    );
    const attempt = {
      eventId,
      type,
      attempt: number,
      attemptedAt: now.toISOString(),
      duration: Math.round(performance.now() - begin),
      error: error?.message,
    };
    this.#noteAttempt(webhookId, attempt);
    return { attempt, error };
  }

  #noteAttempt(webhookId: string, attempt: DeliveryAttempt): void {
    if (attempt.error === undefined) this.#failures.delete(webhookId);
    const attempts = this.#recent.get(webhookId) ?? [];
    attempts.push(attempt);
    if (attempts.length > recentAttempts) attempts.shift();
    this.#recent.set(webhookId, attempts);
  }

  #noteFailure(webhookId: string, { error, failingSince, event }: FailedAttempt): void {
    const { directory, webhooks, commands, disableAfter, onError } = this.#options;
    const webhook = directory.webhookById(webhookId);
    if (webhook === undefined) return;
    // A change, such as another URL or enabling it again, begins a new trial.
    const since = failingSince > webhook.changeDate ? failingSince : webhook.changeDate;
    const isGone = error instanceof TargetGoneError;
    const isDead = commands.now().getTime() - Date.parse(since) >= disableAfter;
    if (!isGone && !isDead) return;
    const { organizationId } = webhook;
    const context: CommandContext = {
      editor: null,
      correlationId: event.recorded.id,
      causationId: event.recorded.id,
    };
    webhooks
      .disable({ webhookId, organizationId }, isGone ? undefined : failingSince, context)
      .catch((disableError: unknown) => onError(webhookId, disableError));
  }
}

/** The name under which progress of the webhook is kept. */
function subscriptionOf(webhookId: string): string {
  return `${webhookSubscriptionPrefix}${webhookId}`;
}
