import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CommandContext, CommandHandler } from '../../application/command-handler.ts';
import { type MasterKeys, WrongMasterKeyError } from '../../application/master-keys.ts';
import { newObjectId } from '../../application/random-ids.ts';
import { webhook } from '../../domain/aggregates.ts';
import { KeyturnError } from '../../domain/errors.ts';
import type { WebhookCommand, WebhookTarget } from '../../domain/webhook/decider.ts';
import type { WebhookSecretView, WebhookView } from '../../projections/webhooks.ts';
import { eventNameOf } from '../cloud-event.ts';
import { isPublishedEventType } from '../published-events.ts';
import { newSigningSecret } from './signature.ts';
import type { TargetPolicy } from './target-policy.ts';

export interface WebhookDirectory {
  webhookById(webhookId: string): WebhookView | undefined;
  webhooksOf(organizationId: string): WebhookView[];
  webhooks(): WebhookView[];
  webhookSecrets(webhookId: string): WebhookSecretView[];
}

export interface WebhooksOptions {
  readonly commands: CommandHandler;
  readonly directory: WebhookDirectory;
  readonly masterKeys: MasterKeys;
  readonly policy: TargetPolicy;
}

/** A webhook, by its id in the organization that a request acts in. */
export interface WebhookReference {
  readonly webhookId: string;
  readonly organizationId: string;
}

/** Each webhook costs work for every event: as many as an organization has use for, and no more. */
const webhooksPerOrganization = 100;

/** The use cases of webhooks. */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #opened = new LRUCache<string, string>({ max: 1000 });

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /**
   * The signing secret is in the answer and nowhere else.
   *
   * @param after position of the log that it begins after; undefined: from now on
   * @throws KeyturnError `WEBHOOK_URL_INVALID`, `WEBHOOK_TYPE_UNKNOWN`, `WEBHOOK_LIMIT_REACHED`
   */
  async add(
    {
      organizationId,
      after,
      ...target
    }: WebhookTarget & { organizationId: string; after: string | undefined },
    context: CommandContext,
  ): Promise<{ webhookId: string; signingSecret: string }> {
    const { commands, directory } = this.#options;
    const checked = this.#checked(target);
    if (directory.webhooksOf(organizationId).length >= webhooksPerOrganization) {
      throw new KeyturnError('WEBHOOK_LIMIT_REACHED');
    }
    const webhookId = newObjectId();
    const { signingSecret, ...secret } = await this.#newSecret();
    const add = {
      type: 'AddWebhook',
      organizationId,
      ...checked,
      ...secret,
      ...(after !== undefined && { after }),
    } as const;
    await commands.execute(webhook, webhookId, add, context);
    return { webhookId, signingSecret };
  }

  /**
   * Replaces url, types, user and description.
   *
   * @param isEnabled undefined: stays as it is
   * @throws KeyturnError `WEBHOOK_NOT_FOUND`, `WEBHOOK_URL_INVALID`, `WEBHOOK_TYPE_UNKNOWN`, `WEBHOOK_NOT_CHANGED`
   */
  async change(
    reference: WebhookReference,
    { isEnabled, ...target }: WebhookTarget & { isEnabled: boolean | undefined },
    context: CommandContext,
  ): Promise<void> {
    const { organizationId } = reference;
    const change = { type: 'ChangeWebhook', organizationId, isEnabled, ...this.#checked(target) } as const;
    await this.#execute(reference, change, context);
  }

  /**
   * Both secrets sign for `overlap` milliseconds, so that receivers can change over.
   *
   * @throws KeyturnError `WEBHOOK_NOT_FOUND`
   */
  async rotateSecret(
    reference: WebhookReference,
    overlap: number,
    context: CommandContext,
  ): Promise<{ signingSecret: string; previousUntil: string }> {
    const { organizationId } = reference;
    const { signingSecret, ...secret } = await this.#newSecret();
    const previousUntil = new Date(this.#options.commands.now().getTime() + overlap).toISOString();
    const rotate = { type: 'RotateWebhookSecret', organizationId, previousUntil, ...secret } as const;
    await this.#execute(reference, rotate, context);
    return { signingSecret, previousUntil };
  }

  /** @throws KeyturnError `WEBHOOK_NOT_FOUND` */
  async remove(reference: WebhookReference, context: CommandContext): Promise<void> {
    await this.#execute(
      reference,
      { type: 'RemoveWebhook', organizationId: reference.organizationId },
      context,
    );
  }

  /** @param failingSince undefined: the target said that it is gone */
  async disable(
    reference: WebhookReference,
    failingSince: string | undefined,
    context: CommandContext,
  ): Promise<void> {
    const { organizationId } = reference;
    const why =
      failingSince === undefined ? { reason: 'gone' as const } : { reason: 'failing' as const, failingSince };
    await this.#execute(reference, { type: 'DisableWebhook', organizationId, ...why }, context);
  }

  /** The secrets that sign now, newest first. */
  async signingSecrets(webhookId: string): Promise<string[]> {
    const now = this.#options.commands.now().getTime();
    const valid = this.#options.directory
      .webhookSecrets(webhookId)
      .filter(({ until }) => until === undefined || now < Date.parse(until));
    return Promise.all(valid.map((secret) => this.#open(secret)));
  }

  /**
   * Puts the secrets that are still under the previous master key under the current one. Every node may do it.
   *
   * @param onUnreadable of webhooks with a secret that is under neither: they need a new one
   */
  async reencryptSecrets(onUnreadable: (webhookId: string) => void): Promise<void> {
    const correlationId = randomUUID();
    const context = { editor: null, correlationId, causationId: correlationId };
    const { directory } = this.#options;
    for (const one of directory.webhooks()) {
      for (const secret of directory.webhookSecrets(one.webhookId)) {
        try {
          await this.#reencrypt(one, secret, context);
        } catch (error) {
          if (!(error instanceof WrongMasterKeyError)) throw error;
          onUnreadable(one.webhookId);
        }
      }
    }
  }

  async #reencrypt(
    { webhookId, organizationId }: WebhookReference,
    { secretId, encryptedSecret: stored }: WebhookSecretView,
    context: CommandContext,
  ): Promise<void> {
    const { masterKeys } = this.#options;
    const { plaintext, isOutdated } = await masterKeys.decrypt(stored);
    if (!isOutdated) return;
    const encryptedSecret = await masterKeys.encrypt(plaintext);
    const reencrypt = { type: 'ReencryptWebhookSecret', organizationId, secretId, encryptedSecret } as const;
    await this.#execute({ webhookId, organizationId }, reencrypt, context);
  }

  async #open({ secretId, encryptedSecret }: WebhookSecretView): Promise<string> {
    const known = this.#opened.get(secretId);
    if (known !== undefined) return known;
    const { plaintext } = await this.#options.masterKeys.decrypt(encryptedSecret);
    const secret = new TextDecoder().decode(plaintext);
    this.#opened.set(secretId, secret);
    return secret;
  }

  async #newSecret() {
    const signingSecret = newSigningSecret();
    const encryptedSecret = await this.#options.masterKeys.encrypt(new TextEncoder().encode(signingSecret));
    return { secretId: randomUUID(), encryptedSecret, signingSecret };
  }

  #checked({ url, types, ...rest }: WebhookTarget): WebhookTarget {
    const names = [...new Set(types.map(eventNameOf))].sort();
    const unknown = names.find((name) => !isPublishedEventType(name));
    if (unknown !== undefined) {
      throw new KeyturnError('WEBHOOK_TYPE_UNKNOWN', {
        text: `Type of event is not known: ${JSON.stringify(unknown.slice(0, 100))}`,
      });
    }
    return { url: this.#options.policy.checkUrl(url).href, types: names, ...rest };
  }

  async #execute(
    { webhookId }: WebhookReference,
    command: WebhookCommand,
    context: CommandContext,
  ): Promise<void> {
    await this.#options.commands.execute(webhook, webhookId, command, context);
  }
}
