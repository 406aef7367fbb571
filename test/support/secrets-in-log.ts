import { expect } from 'vitest';
import type { RecordedEvent } from '../../src/eventstore/event-store.ts';

/** What the log says of one secret. Times are RFC 3339. */
export interface SecretInLog {
  readonly secretId: string;
  /** The stream version at which it was made. */
  readonly sequence: bigint;
  expiresAt: string | undefined;
  retiresAt: string | undefined;
  isLeaked: boolean;
  /** What ended it, as far as events say so: more than one would be a fault. */
  readonly endings: ('replaced' | 'expired' | 'retired' | 'removed')[];
  /** Days before which expiry, in the order of the events. */
  readonly announcements: { readonly expiresAt: string; readonly daysBefore: number }[];
}

/** What the log says of a machine user and its secrets. */
export interface UserInLog {
  readonly organizationId: string;
  isActive: boolean;
  sequence: bigint;
  readonly creationDate: string;
  changeDate: string;
  readonly secrets: SecretInLog[];
}

/** What is read of the data of events: each has some of it. */
interface Data {
  readonly organizationId: string;
  readonly secretId: string;
  readonly secretIds: readonly string[];
  readonly replacedSecretIds: readonly string[];
  readonly retirements?: readonly { readonly secretId: string; readonly retiresAt: string }[];
  readonly expiresAt: string;
  readonly expiredAt: string;
  readonly retiredAt: string;
  readonly daysBefore: number;
  readonly settings?: { readonly maxLiveSecrets?: number };
}

const defaultLimit = 2;

/**
 * Reads the log in the plainest way, and holds each event against what rotation promises: a second opinion on what the deciders,
 * the read model and the API say.
 */
export class SecretsInLog {
  readonly users = new Map<string, UserInLog>();
  /** The most live secrets, where a policy says so, by the stream of the policy. */
  readonly #limits = new Map<string, number | undefined>();
  #lastLateUses = new Map<string, number>();

  static read(events: readonly RecordedEvent[]): SecretsInLog {
    const log = new SecretsInLog();
    for (const event of events) log.#read(event);
    return log;
  }

  user(userId: string): UserInLog {
    const user = this.users.get(userId);
    if (user === undefined) throw new Error(`the log knows no user ${userId}`);
    return user;
  }

  #read(event: RecordedEvent): void {
    const [category = ''] = event.stream.split('-', 1);
    const data = event.data as unknown as Data;
    if (category === 'secretPolicy') {
      this.#limits.set(event.stream, data.settings?.maxLiveSecrets);
    }
    if (event.type === 'MachineSecretUsedAfterReplacement') this.#readLateUse(event);
    if (category === 'machineUser') this.#readUserEvent(event, data);
  }

  /** Told at most once an hour. */
  #readLateUse(event: RecordedEvent): void {
    const secret = `${event.stream} ${event.data['secretId']}`;
    const time = Date.parse(occurredAt(event));
    expect(time - (this.#lastLateUses.get(secret) ?? 0)).toBeGreaterThanOrEqual(3_600_000);
    this.#lastLateUses.set(secret, time);
  }

  #readUserEvent(event: RecordedEvent, data: Data): void {
    const userId = event.stream.slice('machineUser-'.length);
    const time = occurredAt(event);
    if (event.type === 'MachineUserAdded') {
      const { organizationId } = data;
      const dates = { creationDate: time, changeDate: time };
      this.users.set(userId, { organizationId, isActive: true, sequence: 1n, ...dates, secrets: [] });
      return;
    }
    const user = this.user(userId);
    user.sequence = event.revision + 1n;
    user.changeDate = time;
    const secret = user.secrets.find((one) => one.secretId === data.secretId);
    switch (event.type) {
      case 'MachineUserDeactivated':
        user.isActive = false;
        break;
      case 'MachineUserReactivated':
        user.isActive = true;
        break;
      case 'MachineSecretSet':
        this.#readNewSecret(user, data);
        expect(liveIds(user, time).length).toBeLessThanOrEqual(this.#limitOf(userId, user));
        expect(stayingIds(user, time)).toContain(data.secretId);
        break;
      case 'MachineSecretRemoved':
        for (const one of user.secrets) {
          if (data.secretIds.includes(one.secretId)) one.endings.push('removed');
        }
        break;
      default:
        if (secret !== undefined) readSecretEvent(event, user, secret);
    }
    requireSense(user);
  }

  #readNewSecret(user: UserInLog, data: Data): void {
    const retirements = data.retirements ?? [];
    for (const secret of user.secrets) {
      if (data.replacedSecretIds.includes(secret.secretId)) secret.endings.push('replaced');
      const retirement = retirements.find(({ secretId }) => secretId === secret.secretId);
      if (retirement === undefined) continue;
      // No further rotation lets it live longer.
      expect(retirement.retiresAt <= (secret.retiresAt ?? retirement.retiresAt)).toBe(true);
      secret.retiresAt = retirement.retiresAt;
    }
    const { secretId, expiresAt } = data;
    const noEnd = { retiresAt: undefined, isLeaked: false, endings: [], announcements: [] };
    user.secrets.push({ secretId, sequence: user.sequence, expiresAt, ...noEnd });
  }

  /** Of the nearest policy that says something. */
  #limitOf(userId: string, { organizationId }: UserInLog): number {
    const levels = [`user-${userId}`, `organization-${organizationId}`, 'instance'];
    const limits = levels.map((level) => this.#limits.get(`secretPolicy-${level}`));
    return limits.find((limit) => limit !== undefined) ?? defaultLimit;
  }
}

/** An event of one secret that is there. */
function readSecretEvent(event: RecordedEvent, user: UserInLog, secret: SecretInLog): void {
  const data = event.data as unknown as Data;
  const time = occurredAt(event);
  switch (event.type) {
    case 'MachineSecretExpiryChanged':
      secret.expiresAt = data.expiresAt;
      break;
    case 'MachineSecretRetirementCancelled':
      secret.retiresAt = undefined;
      break;
    case 'MachineSecretExpiring':
      secret.announcements.push({ expiresAt: data.expiresAt, daysBefore: data.daysBefore });
      break;
    case 'MachineSecretLeaked':
      secret.isLeaked = true;
      break;
    case 'MachineSecretExpired':
      expect(secret.expiresAt).toBe(data.expiredAt);
      secret.endings.push('expired');
      break;
    case 'MachineSecretRetired':
      // By time, or now.
      expect([secret.retiresAt, time]).toContain(data.retiredAt);
      secret.endings.push('retired');
      // Rotation may end what it has replaced, never the last: that takes an expiry, a leak or a removal.
      if (secret.retiresAt === undefined && !secret.isLeaked) {
        expect(stayingIds(user, time)).not.toEqual([]);
      }
      break;
  }
}

/** Those that can be used at `time`, by the log. */
export function liveIds({ secrets }: UserInLog, time: string): string[] {
  return secrets
    .filter(({ endings, expiresAt, retiresAt }) => {
      const isOver = (end: string | undefined) => end !== undefined && Date.parse(end) <= Date.parse(time);
      return endings.length === 0 && !isOver(expiresAt) && !isOver(retiresAt);
    })
    .map(({ secretId }) => secretId);
}

/** Those of them that do not retire. */
function stayingIds(user: UserInLog, time: string): string[] {
  const staying = user.secrets.filter(({ retiresAt }) => retiresAt === undefined);
  return liveIds(user, time).filter((id) => staying.some(({ secretId }) => secretId === id));
}

/** Those whose end no event states, although their time has come. */
export function unstatedEnds(user: UserInLog, time: string): string[] {
  const live = liveIds(user, time);
  return user.secrets
    .filter(({ secretId, endings }) => endings.length === 0 && !live.includes(secretId))
    .map(({ secretId }) => secretId);
}

/** No secret ends twice, and none is announced twice. */
function requireSense({ secrets }: UserInLog): void {
  const ids = secrets.map(({ secretId }) => secretId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { endings, announcements } of secrets) {
    expect(endings.length).toBeLessThanOrEqual(1);
    for (const [index, { expiresAt, daysBefore }] of announcements.entries()) {
      const before = announcements.slice(0, index).filter((one) => one.expiresAt === expiresAt);
      for (const one of before) expect(daysBefore).toBeLessThan(one.daysBefore);
    }
  }
}

function occurredAt(event: RecordedEvent): string {
  return event.metadata['occurredAt'] as string;
}
