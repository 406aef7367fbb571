import type { Message, MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type WebhookSchema, WebhookService, WebhookState } from '#generated/keyturn/v1/webhooks_pb.js';
import type { CommandHandler } from '../../application/command-handler.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { DisabledReason } from '../../domain/webhook/decider.ts';
import type { WebhookView } from '../../projections/webhooks.ts';
import { parkedEventsOf, webhookSubscriptionPrefix } from '../../subscriptions/subscribe.ts';
import type { DeliveryAttempt } from '../../subscriptions/webhooks/webhook-dispatcher.ts';
import type { WebhookDirectory, Webhooks } from '../../subscriptions/webhooks/webhooks.ts';
import { implement, type RpcMethod, type RpcService } from '../rpc/method.ts';

export interface WebhookDependencies {
  readonly webhooks: Webhooks;
  readonly commands: CommandHandler;
  readonly directory: WebhookDirectory;
  /** The position of the log's last event. */
  readonly endOfLog: () => Promise<bigint>;
  readonly deliveries: {
    recentAttempts(webhookId: string): readonly DeliveryAttempt[];
    /** Sends a test event once. */
    test(webhookId: string): Promise<DeliveryAttempt>;
  };
}

const { method } = WebhookService;

/** In milliseconds: how long a replaced signing secret goes on signing, where the caller does not say. */
const defaultOverlap = 24 * 60 * 60 * 1000;
const longestOverlap = 7 * defaultOverlap;

const disabledStates = {
  manual: WebhookState.DISABLED,
  failing: WebhookState.DISABLED_FAILING,
  gone: WebhookState.DISABLED_GONE,
} as const satisfies Record<DisabledReason, WebhookState>;

/** keyturn.v1.WebhookService */
export function webhookService(dependencies: WebhookDependencies): RpcService {
  return {
    descriptor: WebhookService,
    basePath: '',
    scope: 'organization',
    methods: webhookMethods(dependencies),
  };
}

function webhookMethods({
  webhooks,
  commands,
  directory,
  deliveries,
  endOfLog,
}: WebhookDependencies): RpcMethod[] {
  /** A webhook of another organization is as unknown as one that does not exist. */
  const find = (webhookId: string, organizationId: string): WebhookView => {
    const webhook = directory.webhookById(webhookId);
    if (webhook?.organizationId !== organizationId) throw new KeyturnError('WEBHOOK_NOT_FOUND');
    return webhook;
  };
  const parkedOf = (webhookId: string, context?: Parameters<typeof parkedEventsOf>[2]) =>
    parkedEventsOf(commands, `${webhookSubscriptionPrefix}${webhookId}`, context);

  return [
    implement(method.addWebhook, async (request, { caller: { organizationId }, context }) => {
      const { url, types, userId, description, after } = request;
      if (after !== undefined) {
        const end = await endOfLog();
        if (after > end) throw fieldInvalid(request, 'After', `value must be at most ${end}, the log's end`);
      }
      const added = await webhooks.add(
        { organizationId, url, types, userId, description, after: after?.toString() },
        context,
      );
      return {
        webhook: toWebhook(find(added.webhookId, organizationId)),
        signingSecret: added.signingSecret,
      };
    }),

    implement(method.listWebhooks, async (_request, { caller }) => {
      return { webhooks: directory.webhooksOf(caller.organizationId).map(toWebhook) };
    }),

    implement(method.getWebhook, async ({ webhookId }, { caller }) => {
      return { webhook: toWebhook(find(webhookId, caller.organizationId)) };
    }),

    implement(method.changeWebhook, async (request, { caller: { organizationId }, context }) => {
      const { webhookId, url, types, userId, description, enabled } = request;
      await webhooks.change(
        { webhookId, organizationId },
        { url, types, userId, description, isEnabled: enabled },
        context,
      );
      return { webhook: toWebhook(find(webhookId, organizationId)) };
    }),

    implement(method.removeWebhook, async ({ webhookId }, { caller: { organizationId }, context }) => {
      await webhooks.remove({ webhookId, organizationId }, context);
      return {};
    }),

    implement(method.rotateWebhookSecret, async (request, { caller: { organizationId }, context }) => {
      const { webhookId, overlapSeconds } = request;
      const overlap = overlapSeconds === undefined ? defaultOverlap : overlapSeconds * 1000;
      if (overlap > longestOverlap) {
        throw fieldInvalid(request, 'OverlapSeconds', `value must be at most ${longestOverlap / 1000}`);
      }
      const rotated = await webhooks.rotateSecret({ webhookId, organizationId }, overlap, context);
      return {
        signingSecret: rotated.signingSecret,
        previousUntil: timestampFromDate(new Date(rotated.previousUntil)),
      };
    }),

    implement(method.testWebhook, async ({ webhookId }, { caller }) => {
      find(webhookId, caller.organizationId);
      const { error, duration } = await deliveries.test(webhookId);
      return { delivered: error === undefined, error: error ?? '', durationMilliseconds: duration };
    }),

    implement(method.listWebhookDeliveries, async ({ webhookId }, { caller }) => {
      find(webhookId, caller.organizationId);
      const parked = await parkedOf(webhookId).parked();
      return {
        parked: parked.map(({ eventId, stream, attempts, reason, parkedAt }) => ({
          eventId,
          subject: stream,
          attempts,
          reason,
          parkedAt: timestampFromDate(new Date(parkedAt)),
        })),
        attempts: deliveries.recentAttempts(webhookId).map(toAttempt),
      };
    }),

    implement(method.redeliverWebhookEvents, async ({ webhookId, eventId }, { caller, context }) => {
      find(webhookId, caller.organizationId);
      const parked = parkedOf(webhookId, context);
      if (eventId === '') return { count: await parked.replayAll() };
      await parked.replay(eventId);
      return { count: 1 };
    }),
  ];
}

function fieldInvalid({ $typeName }: Message, field: string, fault: string): KeyturnError {
  const name = $typeName.slice('keyturn.v1.'.length);
  return new KeyturnError('FIELD_INVALID', { text: `invalid ${name}.${field}: ${fault}` });
}

function toWebhook(webhook: WebhookView): MessageInitShape<typeof WebhookSchema> {
  const { webhookId, url, types, userId, description, disabledReason, sequence, organizationId } = webhook;
  return {
    webhookId,
    url,
    types: [...types],
    userId,
    description,
    state: disabledReason === undefined ? WebhookState.ENABLED : disabledStates[disabledReason],
    sequence,
    organizationId,
    creationDate: timestampFromDate(new Date(webhook.creationDate)),
    changeDate: timestampFromDate(new Date(webhook.changeDate)),
  };
}

function toAttempt({ eventId, type, attempt, attemptedAt, duration, error }: DeliveryAttempt) {
  return {
    eventId,
    type,
    attempt,
    attemptedAt: timestampFromDate(new Date(attemptedAt)),
    durationMilliseconds: duration,
    delivered: error === undefined,
    error: error ?? '',
  };
}
