import { KeyturnError } from '../errors.ts';
import {
  defaultExpiry,
  defaultSecretPolicy,
  type SecretPolicy,
  secondsAfter,
} from '../secret-policy/policy.ts';
import type { MachineUserEvent } from './events.ts';
import { endOf, idsOf, isLive, liveSecrets, type MachineSecret } from './secrets.ts';
import type { ExistingMachineUser } from './state.ts';

/** What becomes of the access tokens that are alive: they outlive a secret unless the caller, or the policy, says otherwise. */
interface WithTokens {
  readonly endTokens?: boolean;
}

interface UnderPolicy {
  /** As it was when the command was given. Default: `defaultSecretPolicy`. */
  readonly policy?: SecretPolicy;
}

interface NewSecret {
  readonly secretId: string;
  readonly hashedSecret: string;
}

/** Commands on the secrets of one machine user. Times are RFC 3339. */
export type SecretCommand =
  /** A new secret in the place of all others, which live on as long as the policy says. */
  | ({ readonly type: 'SetSecret' } & NewSecret & WithTokens & UnderPolicy)
  /** A new secret beside the others. */
  | ({
      readonly type: 'AddSecret';
      readonly isImported?: true;
      /** Undefined: as the policy says. */
      readonly expiresAt?: string | undefined;
      /** In seconds: the others retire after so long. Undefined: they do not retire. */
      readonly overlap?: number | undefined;
      readonly allowedNetworks?: readonly string[] | undefined;
      readonly maxUses?: number | undefined;
    } & NewSecret &
      UnderPolicy)
  | ({
      readonly type: 'ChangeSecretExpiry';
      readonly secretId: string;
      /** Undefined: never, unless the policy limits the life of secrets. */
      readonly expiresAt: string | undefined;
    } & UnderPolicy)
  /** Ends one secret now; another one must stay. */
  | ({ readonly type: 'RetireSecret'; readonly secretId: string } & UnderPolicy)
  | { readonly type: 'CancelSecretRetirement'; readonly secretId: string }
  | ({
      readonly type: 'ReportLeak';
      readonly secretId: string;
      readonly source: string;
      readonly url?: string;
    } & UnderPolicy)
  | {
      readonly type: 'RehashSecret';
      readonly secretId: string;
      readonly outdatedHash: string;
      readonly hashedSecret: string;
    }
  | ({ readonly type: 'RemoveSecret' } & WithTokens)
  /** States what time alone has done: who has to know learns it by events. */
  | ({
      readonly type: 'RecordSecretTimes';
      /** How many days before its expiry a secret is announced. */
      readonly announcedDays: readonly number[];
    } & UnderPolicy);

export function isSecretCommand<Command extends { readonly type: string }>(
  command: Command,
): command is Extract<Command, { readonly type: SecretCommand['type'] }> {
  return Object.hasOwn(secretDecisions, command.type);
}

type Decide<Type extends SecretCommand['type']> = (
  command: Extract<SecretCommand, { readonly type: Type }>,
  user: ExistingMachineUser,
  now: string,
) => MachineUserEvent[];

const secretDecisions: { readonly [Type in SecretCommand['type']]: Decide<Type> } = {
  SetSecret: setSecret,
  AddSecret: addSecret,
  ChangeSecretExpiry: changeExpiry,
  RetireSecret: retire,
  CancelSecretRetirement: cancelRetirement,
  ReportLeak: reportLeak,
  RehashSecret: rehash,
  RemoveSecret: remove,
  RecordSecretTimes: recordTimes,
};

export function decideOnSecrets(
  command: SecretCommand,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  return (secretDecisions[command.type] as Decide<SecretCommand['type']>)(command, user, now);
}

/** Allowed for inactive and locked users too: a secret can be made ready before the user is let in again. */
function setSecret(
  command: Extract<SecretCommand, { type: 'SetSecret' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const { secretId, hashedSecret, policy = defaultSecretPolicy } = command;
  const live = liveSecrets(user.secrets, now);
  // What retires first anyway gives way to the limit first.
  const inOrderOfEnd = live.toSorted((a, b) => timeOf(a.retiresAt) - timeOf(b.retiresAt));
  const kept = policy.overlap === 0 ? 0 : policy.maxLiveSecrets - 1;
  const replaced = inOrderOfEnd.slice(0, Math.max(0, live.length - kept));
  const expiresAt = defaultExpiry(policy, now);
  const retirements = retirementsOf(
    live.filter((secret) => !replaced.includes(secret)),
    secondsAfter(now, policy.overlap),
  );
  const endTokens = command.endTokens || (policy.endTokens && replaced.length > 0);
  return [
    ...tokensEndedIf(endTokens),
    {
      type: 'MachineSecretSet',
      data: {
        secretId,
        hashedSecret,
        replacedSecretIds: idsInOrder(live, replaced),
        ...(retirements.length > 0 && { retirements }),
        ...(expiresAt !== undefined && { expiresAt }),
      },
    },
  ];
}

function addSecret(
  command: Extract<SecretCommand, { type: 'AddSecret' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const { secretId, hashedSecret, isImported, overlap, allowedNetworks, maxUses } = command;
  const { policy = defaultSecretPolicy } = command;
  const isTaken = user.secrets.some((secret) => secret.secretId === secretId);
  if (isTaken || user.importedSecretIds.includes(secretId)) throw new KeyturnError('SECRET_ID_TAKEN');
  const live = liveSecrets(user.secrets, now);
  const replaced = overlap === 0 ? live : [];
  requireRoom(live.length - replaced.length + 1, policy);
  const retirements =
    overlap === undefined || overlap === 0 ? [] : retirementsOf(live, secondsAfter(now, overlap));
  const expiresAt = allowedExpiry(command.expiresAt, policy, now, now);
  return [
    ...tokensEndedIf(policy.endTokens && replaced.length > 0),
    {
      type: 'MachineSecretSet',
      data: {
        secretId,
        hashedSecret,
        replacedSecretIds: idsOf(replaced),
        ...(retirements.length > 0 && { retirements }),
        ...(expiresAt !== undefined && { expiresAt }),
        ...(isImported && { isImported }),
        ...(allowedNetworks !== undefined && { allowedNetworks: [...allowedNetworks] }),
        ...(maxUses !== undefined && { maxUses }),
      },
    },
  ];
}

function changeExpiry(
  command: Extract<SecretCommand, { type: 'ChangeSecretExpiry' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const { secretId, policy = defaultSecretPolicy } = command;
  const secret = requireLive(user, secretId, now);
  const unlimited = { ...policy, lifetime: undefined };
  const expiresAt = allowedExpiry(command.expiresAt, unlimited, secret.createdAt, now);
  if (expiresAt === secret.expiresAt) return [];
  return [
    {
      type: 'MachineSecretExpiryChanged',
      data: { secretId, ...(expiresAt !== undefined && { expiresAt }) },
    },
  ];
}

function retire(
  { secretId, policy = defaultSecretPolicy }: Extract<SecretCommand, { type: 'RetireSecret' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  requireLive(user, secretId, now);
  const stays = liveSecrets(user.secrets, now).some(
    (secret) => secret.secretId !== secretId && secret.retiresAt === undefined,
  );
  if (!stays) throw new KeyturnError('SECRET_IS_LAST');
  return [...tokensEndedIf(policy.endTokens), retired(secretId, now)];
}

function cancelRetirement(
  { secretId }: Extract<SecretCommand, { type: 'CancelSecretRetirement' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const secret = requireLive(user, secretId, now);
  if (secret.retiresAt === undefined) throw new KeyturnError('SECRET_NOT_RETIRING');
  return [{ type: 'MachineSecretRetirementCancelled', data: { secretId } }];
}

/** Also of the last secret that is live: whoever found it can sign in with it. */
function reportLeak(
  { secretId, source, url, policy = defaultSecretPolicy }: Extract<SecretCommand, { type: 'ReportLeak' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const secret = requireLive(user, secretId, now);
  const leaked: MachineUserEvent = {
    type: 'MachineSecretLeaked',
    data: { secretId, source, ...(url !== undefined && { url }) },
  };
  if (policy.retireLeaked) return [leaked, ...tokensEndedIf(true), retired(secretId, now)];
  return secret.isLeaked ? [] : [leaked];
}

/** Changes nothing when the secret was replaced or hashed anew meanwhile: the new hash is then of no use. */
function rehash(
  { secretId, outdatedHash, hashedSecret }: Extract<SecretCommand, { type: 'RehashSecret' }>,
  user: ExistingMachineUser,
): MachineUserEvent[] {
  const isOutdated = user.secrets.some(
    (secret) => secret.secretId === secretId && secret.hashedSecret === outdatedHash,
  );
  return isOutdated ? [{ type: 'MachineSecretRehashed', data: { secretId, hashedSecret } }] : [];
}

function remove(
  { endTokens = false }: Extract<SecretCommand, { type: 'RemoveSecret' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const live = liveSecrets(user.secrets, now);
  if (live.length === 0) throw new KeyturnError('SECRET_NOT_EXISTING');
  return [...tokensEndedIf(endTokens), { type: 'MachineSecretRemoved', data: { secretIds: idsOf(live) } }];
}

/** Each fact once, however often and wherever it is asked: what was stated is in the state. */
function recordTimes(
  { announcedDays, policy = defaultSecretPolicy }: Extract<SecretCommand, { type: 'RecordSecretTimes' }>,
  user: ExistingMachineUser,
  now: string,
): MachineUserEvent[] {
  const ended = user.secrets.filter((secret) => !isLive(secret, now)).map(endedByTime);
  const expiring = liveSecrets(user.secrets, now).flatMap((secret) => {
    const daysBefore = daysToAnnounce(secret, announcedDays, now);
    if (daysBefore === undefined || secret.expiresAt === undefined) return [];
    const { secretId, expiresAt } = secret;
    return { type: 'MachineSecretExpiring', data: { secretId, expiresAt, daysBefore } } as const;
  });
  return [...tokensEndedIf(policy.endTokens && ended.length > 0), ...ended, ...expiring];
}

function endedByTime(secret: MachineSecret): MachineUserEvent {
  const { secretId, expiresAt } = secret;
  const end = endOf(secret);
  if (end === undefined) throw new TypeError('a secret without an end has not ended');
  return end === expiresAt
    ? { type: 'MachineSecretExpired', data: { secretId, expiredAt: end } }
    : { type: 'MachineSecretRetired', data: { secretId, retiredAt: end } };
}

const day = 24 * 3600 * 1000;

/**
 * The most urgent announcement that is due and was not made: after an outage one, not all that were missed. None for a
 * secret that retires before, or that was made to live no longer than the announcement is ahead.
 */
export function daysToAnnounce(
  secret: MachineSecret,
  announcedDays: readonly number[],
  now: string,
): number | undefined {
  const { expiresAt, createdAt } = secret;
  if (expiresAt === undefined || endOf(secret) !== expiresAt) return undefined;
  const left = Date.parse(expiresAt) - Date.parse(now);
  const life = Date.parse(expiresAt) - Date.parse(createdAt);
  const due = announcedDays.filter((days) => left <= days * day && days * day < life);
  const mostUrgent = Math.min(...due);
  const isNew = secret.announcedDays === undefined || mostUrgent < secret.announcedDays;
  return due.length > 0 && isNew ? mostUrgent : undefined;
}

/** The secrets that do not retire before, in the form of the event. */
function retirementsOf(secrets: readonly MachineSecret[], retiresAt: string) {
  return secrets
    .filter((secret) => timeOf(retiresAt) < timeOf(secret.retiresAt))
    .map(({ secretId }) => ({ secretId, retiresAt }));
}

/** @throws KeyturnError `SECRET_EXPIRY_INVALID` */
function allowedExpiry(
  asked: string | undefined,
  policy: SecretPolicy,
  createdAt: string,
  now: string,
): string | undefined {
  if (asked === undefined) {
    const expiresAt = defaultExpiry(policy, createdAt);
    if (expiresAt !== undefined && timeOf(expiresAt) <= timeOf(now)) {
      throw invalidExpiry('the policy allows no life as long as it has had already');
    }
    return expiresAt;
  }
  if (timeOf(asked) <= timeOf(now)) throw invalidExpiry('it is not in the future');
  const { maxLifetime } = policy;
  if (maxLifetime !== undefined && timeOf(asked) > timeOf(secondsAfter(createdAt, maxLifetime))) {
    throw invalidExpiry(`the policy allows a life of ${maxLifetime} seconds at most`);
  }
  return asked;
}

function requireRoom(count: number, { maxLiveSecrets }: SecretPolicy): void {
  if (count <= maxLiveSecrets) return;
  throw new KeyturnError('SECRETS_TOO_MANY', {
    text: `The policy allows ${maxLiveSecrets} live secrets: retire one first, or give an overlap of 0`,
  });
}

function requireLive(user: ExistingMachineUser, secretId: string, now: string): MachineSecret {
  const secret = user.secrets.find((one) => one.secretId === secretId);
  if (secret === undefined || !isLive(secret, now)) throw new KeyturnError('SECRET_NOT_FOUND');
  return secret;
}

/** For comparisons: what never comes is after all else. */
function timeOf(time: string | undefined): number {
  return time === undefined ? Number.POSITIVE_INFINITY : Date.parse(time);
}

function idsInOrder(all: readonly MachineSecret[], some: readonly MachineSecret[]): string[] {
  return idsOf(all.filter((secret) => some.includes(secret)));
}

function invalidExpiry(reason: string): KeyturnError {
  return new KeyturnError('SECRET_EXPIRY_INVALID', {
    text: `The expiry of the secret is invalid: ${reason}`,
  });
}

function retired(secretId: string, retiredAt: string): MachineUserEvent {
  return { type: 'MachineSecretRetired', data: { secretId, retiredAt } };
}

export const tokensEnded: MachineUserEvent = { type: 'MachineTokensEnded', data: {} };

/** Before the event of the secret itself, whose version is then that of the whole change. */
function tokensEndedIf(endTokens = false): MachineUserEvent[] {
  return endTokens ? [tokensEnded] : [];
}
