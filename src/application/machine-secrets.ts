import { machineUser } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { composeSecret } from '../domain/machine-secret.ts';
import type { SecretCommand } from '../domain/machine-user/secret-decisions.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import { type ChangeDetails, detailsOfChange, type MachineUserReference } from './machine-users.ts';
import { checkNetworks } from './network-binding.ts';
import { newSecretId, newSecretRandom } from './random-ids.ts';
import { longestHashedSecret, type SecretHasher } from './secret-hasher.ts';
import { faultOfForeignHash } from './secret-hashes.ts';
import { SecretPolicies } from './secret-policies.ts';
import { weaknessOf } from './secret-strength.ts';

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

/** A secret that another system made: itself, or its hash. */
export interface ImportedSecret extends NewMachineSecret {
  /** Its id in Keyturn: 1 to 64 letters, digits, `.`, `_` and `-`. Default: one that is made. */
  readonly secretId?: string | undefined;
  readonly from:
    | { readonly case: 'secret'; readonly value: string }
    /** bcrypt, argon2 or PBKDF2: see `faultOfForeignHash`. */
    | { readonly case: 'hash'; readonly value: string };
}

/** A secret by its id, of a machine user in the organization that a request acts in. */
export interface MachineSecretReference extends MachineUserReference {
  readonly secretId: string;
}

const importedIdForm = /^[A-Za-z0-9._-]{1,64}$/;

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
   * A secret that clients have already, so that they move from another system unchanged. A hash is replaced by ours on its
   * first successful use.
   *
   * @throws KeyturnError `USER_NOT_FOUND`, `SECRET_REFUSED`, `SECRET_ID_TAKEN`, and as `add`
   */
  async import(
    user: MachineUserReference,
    { secretId = newSecretId(), from, expiresAt, overlap, allowedNetworks, maxUses }: ImportedSecret,
    context: CommandContext,
  ): Promise<{ secretId: string; details: ChangeDetails }> {
    if (!importedIdForm.test(secretId)) throw refused(`its id must have the form ${importedIdForm.source}`);
    if (allowedNetworks !== undefined) checkNetworks(allowedNetworks);
    const fault = from.case === 'hash' ? faultOfForeignHash(from.value) : await faultOfSecret(from.value);
    if (fault !== undefined) throw refused(fault);
    const hashedSecret = from.case === 'hash' ? from.value : await this.#hasher.hash(from.value);
    const command = { secretId, hashedSecret, expiresAt, overlap, allowedNetworks, maxUses };
    const details = await this.#execute(user, { type: 'AddSecret', isImported: true, ...command }, context);
    return { secretId, details };
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

async function faultOfSecret(secret: string): Promise<string | undefined> {
  if (Buffer.byteLength(secret) > longestHashedSecret) {
    return `it is longer than ${longestHashedSecret} bytes: import its hash`;
  }
  return weaknessOf(secret);
}

function refused(reason: string): KeyturnError {
  return new KeyturnError('SECRET_REFUSED', { text: `The secret cannot be imported: ${reason}` });
}
