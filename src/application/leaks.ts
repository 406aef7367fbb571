import { machineUser } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { secretIdOf } from '../domain/machine-secret.ts';
import { isLive } from '../domain/machine-user/secrets.ts';
import type { ClientDirectory } from './client-authentication.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { SecretPolicies } from './secret-policies.ts';

export interface LeakReport {
  /** What was found. */
  readonly secret: string;
  /** Who or what found it. */
  readonly source: string;
  /** Where. */
  readonly url?: string | undefined;
}

export interface LeakOutcome {
  /** It was a live secret when it was reported. */
  readonly isLive: boolean;
  /** It is of no use any more: the policy says so. */
  readonly isRetired: boolean;
}

const unknown: LeakOutcome = { isLive: false, isRetired: false };

export interface LeaksOptions {
  readonly commands: CommandHandler;
  readonly directory: Pick<ClientDirectory, 'clientBySecretId'>;
  readonly hasher: SecretHasher;
}

/** Takes secrets that somebody found. Whoever has a secret may report it: that it is right proves that it leaked. */
export class Leaks {
  readonly #options: LeaksOptions;
  readonly #policies: SecretPolicies;

  constructor(options: LeaksOptions) {
    this.#options = options;
    this.#policies = new SecretPolicies(options.commands);
  }

  /** Only secrets in Keyturn's form can be told from other text. Also of users who may not sign in now: they may again. */
  async report({ secret, source, url }: LeakReport, context: CommandContext): Promise<LeakOutcome> {
    const { commands, directory, hasher } = this.#options;
    const secretId = secretIdOf(secret);
    const stored = secretId === undefined ? undefined : directory.clientBySecretId(secretId);
    if (secretId === undefined || stored === undefined) return unknown;
    if (!isLive(stored.secret, commands.now())) return unknown;
    if (!(await hasher.verify(secret, stored.secret.hashedSecret))) return unknown;
    const { userId, organizationId } = stored.account;
    const policy = await this.#policies.effectiveFor({ userId, organizationId });
    const command = {
      type: 'ReportLeak',
      organizationId,
      secretId,
      source,
      ...(url && { url }),
      policy,
    } as const;
    try {
      await commands.execute(machineUser, userId, command, context);
    } catch (error) {
      // It ended between the look at the read model and the decision.
      if (error instanceof KeyturnError && error.grpcCode === 'NOT_FOUND') return unknown;
      throw error;
    }
    return { isLive: true, isRetired: policy.retireLeaked };
  }
}
