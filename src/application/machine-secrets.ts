import { machineUser } from '../domain/aggregates.ts';
import { composeSecret } from '../domain/machine-secret.ts';
import type { SecretCommand } from '../domain/machine-user/secret-decisions.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import { type ChangeDetails, detailsOfChange, type MachineUserReference } from './machine-users.ts';
import { checkNetworks } from './network-binding.ts';
import { newSecretId, newSecretRandom } from './random-ids.ts';
import type { SecretHasher } from './secret-hasher.ts';
import { SecretPolicies } from './secret-policies.ts';

export interface NewMachineSecret {
  /** RFC 3339. Default: as the policy says. */
  readonly expiresAt?: string | undefined;
  /** In seconds: the other secrets retire after so long. Default: they stay. */
  readonly overlap?: number | undefined;
  /** In CIDR notation. Default: from everywhere. */
  readonly allowedNetworks?: readonly string[] | undefined;
  /** Default: as often as one likes. */
  readonly maxUses?: number | undefined;
}

/** A secret by its id, of a machine user in the organization that a request acts in. */
export interface MachineSecretReference extends MachineUserReference {
  readonly secretId: string;
}

type CommandOnSecret = SecretCommand extends infer Command
  ? Command extends unknown
    ? Omit<Command, 'policy'>
    : never
  : never;

/** The use cases of single secrets: what ZITADEL, where a user has one secret, has no words for. */
export class MachineSecrets {
  readonly #commands: CommandHandler;
  readonly #hasher: SecretHasher;
  readonly #policies: SecretPolicies;

  constructor(commands: CommandHandler, hasher: SecretHasher) {
    this.#commands = commands;
    this.#hasher = hasher;
    this.#policies = new SecretPolicies(commands);
  }

  /**
   * A further secret. The plain one is in the answer and nowhere else.
   *
   * @throws KeyturnError `USER_NOT_FOUND`, `SECRETS_TOO_MANY`, `SECRET_EXPIRY_INVALID`, `SECRET_BINDING_INVALID`
   */
  async add(
    user: MachineUserReference,
    { expiresAt, overlap, allowedNetworks, maxUses }: NewMachineSecret,
    context: CommandContext,
  ): Promise<{ secretId: string; clientSecret: string; details: ChangeDetails }> {
    if (allowedNetworks !== undefined) checkNetworks(allowedNetworks);
    const secretId = newSecretId();
    const clientSecret = composeSecret(secretId, newSecretRandom());
    const hashedSecret = await this.#hasher.hash(clientSecret);
    const command = { secretId, hashedSecret, expiresAt, overlap, allowedNetworks, maxUses };
    const details = await this.#execute(user, { type: 'AddSecret', ...command }, context);
    return { secretId, clientSecret, details };
  }

  /**
   * @param expiresAt RFC 3339; undefined: as late as the policy allows
   * @throws KeyturnError `USER_NOT_FOUND`, `SECRET_NOT_FOUND`, `SECRET_EXPIRY_INVALID`
   */
  changeExpiry(
    { secretId, ...user }: MachineSecretReference,
    expiresAt: string | undefined,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    return this.#execute(user, { type: 'ChangeSecretExpiry', secretId, expiresAt }, context);
  }

  /** Ends the secret now. Throws KeyturnError `USER_NOT_FOUND`, `SECRET_NOT_FOUND`, `SECRET_IS_LAST`. */
  retire({ secretId, ...user }: MachineSecretReference, context: CommandContext): Promise<ChangeDetails> {
    return this.#execute(user, { type: 'RetireSecret', secretId }, context);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `SECRET_NOT_FOUND`, `SECRET_NOT_RETIRING` */
  cancelRetirement(
    { secretId, ...user }: MachineSecretReference,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    return this.#execute(user, { type: 'CancelSecretRetirement', secretId }, context);
  }

  /**
   * States what time alone has done to the user's secrets: each fact once.
   *
   * @param announcedDays how many days before its expiry a secret is announced
   * @throws KeyturnError `USER_NOT_FOUND`
   */
  recordTimes(
    user: MachineUserReference,
    announcedDays: readonly number[],
    context: CommandContext,
  ): Promise<ChangeDetails> {
    return this.#execute(user, { type: 'RecordSecretTimes', announcedDays }, context);
  }

  async #execute(
    user: MachineUserReference,
    command: CommandOnSecret,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const { userId, organizationId } = user;
    const policy = await this.#policies.effectiveFor(user);
    const decided = { ...command, organizationId, policy };
    return detailsOfChange(await this.#commands.execute(machineUser, userId, decided, context));
  }
}
