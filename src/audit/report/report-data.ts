import type { EventMetadata } from '../../domain/event-metadata.ts';
import type { EventStore, RecordedEvent } from '../../eventstore/event-store.ts';
import type { MachineUserStanding, SecretUse } from '../../projections/machine-user-states.ts';
import { ReadModel } from '../../projections/read-model.ts';
import { canSignIn } from '../as-of.ts';
import { logBatches } from '../log-batches.ts';
import { UserNameIndex } from '../machine-user-events.ts';
import { isIntact, type LogVerification } from '../verify-log.ts';
import { lastMondays, mondayOf } from './weeks.ts';

export interface ListedSecret {
  readonly userName: string;
  readonly userId: string;
  readonly organizationId: string;
  readonly secretId: string;
  readonly ageInDays: number;
  /** RFC 3339, to the hour; absent for one that was never used. */
  readonly lastUse?: string;
}

export interface Rotator {
  /** Absent: Keyturn itself. */
  readonly userId?: string;
  readonly userName?: string;
  readonly rotations: number;
  /** RFC 3339 */
  readonly last: string;
}

export interface ReportData {
  /** RFC 3339 */
  readonly madeAt: string;
  readonly position: bigint;
  readonly intact: boolean;
  readonly verification: LogVerification;
  readonly users: number;
  readonly usersWhoCanSignIn: number;
  readonly secrets: number;
  readonly secretsByAge: readonly { readonly label: string; readonly count: number }[];
  readonly secretsPast90Days: number;
  readonly oldestSecrets: readonly ListedSecret[];
  /** Of the last year, oldest first. */
  readonly weeks: readonly {
    readonly monday: string;
    readonly rotations: number;
    readonly failedChecks: number;
  }[];
  /** Those who set the most. */
  readonly rotators: readonly Rotator[];
  /** How many set any. */
  readonly editors: number;
  readonly neverUsed: number;
  readonly unused90Days: number;
  /** Those that were not used for 90 days, oldest first. */
  readonly idleSecrets: readonly ListedSecret[];
  /** Attempts to sign in that were refused, with a secret that is none or of a user that may not. */
  readonly failedChecks: number;
}

export interface ReportOptions {
  readonly now: Date;
  readonly verification: LogVerification;
  readonly onProgress?: (position: number) => void;
}

const day = 86_400_000;
const idleDays = 90;
const weeksShown = 52;
/** How many rows a list has at most. */
const longestList = 50;
const ages = [
  { label: 'up to 30 days', days: 30 },
  { label: '31 to 90 days', days: 90 },
  { label: '91 to 180 days', days: 180 },
  { label: '181 to 365 days', days: 365 },
  { label: 'over a year', days: Number.POSITIVE_INFINITY },
] as const;

/** What the report shows, in one walk through the log. Lists are bounded, so that memory is too. */
export async function reportData(eventStore: EventStore, options: ReportOptions): Promise<ReportData> {
  const { now, verification } = options;
  const readModel = ReadModel.temporary();
  const activity = new Activity();
  let position = 0n;
  try {
    for await (const events of logBatches(eventStore)) {
      readModel.apply(events);
      for (const event of events) activity.add(event);
      position = events.at(-1)?.position ?? position;
      options.onProgress?.(Number(position));
    }
    const standings = new Standings(now);
    for (const standing of readModel.queries.machineUserStandings()) standings.addUser(standing);
    for (const use of readModel.queries.secretUses()) standings.addSecret(use);
    return {
      madeAt: now.toISOString(),
      position,
      intact: isIntact(verification),
      verification,
      ...standings.summary(),
      weeks: lastMondays(now.getTime(), weeksShown).map((monday) => ({
        monday,
        rotations: activity.rotations.get(monday) ?? 0,
        failedChecks: activity.failedChecks.get(monday) ?? 0,
      })),
      failedChecks: [...activity.failedChecks.values()].reduce((sum, count) => sum + count, 0),
      rotators: await activity.rotators(new UserNameIndex(eventStore)),
      editors: activity.editors,
    };
  } finally {
    readModel.close();
  }
}

/** Who set secrets and when, and when checks of secrets failed. */
class Activity {
  /** By the Monday of the week. */
  readonly rotations = new Map<string, number>();
  readonly failedChecks = new Map<string, number>();
  readonly #byEditor = new Map<string, { rotations: number; last: string }>();

  add({ type, data, metadata }: RecordedEvent): void {
    if (type !== 'MachineSecretSet' && type !== 'MachineSecretCheckFailed') return;
    const { occurredAt, editor } = metadata as unknown as EventMetadata;
    const monday = mondayOf(Date.parse(occurredAt));
    if (type === 'MachineSecretCheckFailed') {
      this.failedChecks.set(monday, (this.failedChecks.get(monday) ?? 0) + Number(data['count']));
      return;
    }
    this.rotations.set(monday, (this.rotations.get(monday) ?? 0) + 1);
    const { rotations = 0 } = this.#byEditor.get(editor?.userId ?? '') ?? {};
    this.#byEditor.set(editor?.userId ?? '', { rotations: rotations + 1, last: occurredAt });
  }

  get editors(): number {
    return this.#byEditor.size;
  }

  async rotators(names: UserNameIndex): Promise<Rotator[]> {
    const most = [...this.#byEditor].sort(([, a], [, b]) => b.rotations - a.rotations).slice(0, longestList);
    return Promise.all(
      most.map(async ([userId, rotator]) => {
        if (userId === '') return rotator;
        const userName = await names.nameOf(userId);
        return { ...rotator, userId, ...(userName !== undefined && { userName }) };
      }),
    );
  }
}

/** Counts users and secrets, and keeps the oldest of them. */
class Standings {
  readonly #now: Date;
  readonly #byAge = ages.map(() => 0);
  #users = 0;
  #usersWhoCanSignIn = 0;
  #secrets = 0;
  #past90Days = 0;
  #neverUsed = 0;
  #unused90Days = 0;
  readonly #oldest = new OldestSecrets();
  readonly #idle = new OldestSecrets();

  constructor(now: Date) {
    this.#now = now;
  }

  addUser(standing: MachineUserStanding): void {
    this.#users++;
    if (canSignIn(standing, this.#now.toISOString())) this.#usersWhoCanSignIn++;
  }

  addSecret({ userName, userId, organizationId, secretId, creationDate, lastUsed }: SecretUse): void {
    const ageInDays = this.#daysSince(creationDate);
    const secret = {
      ...{ userName, userId, organizationId, secretId, ageInDays },
      ...(lastUsed !== null && { lastUse: lastUsed }),
    };
    this.#secrets++;
    const age = ages.findIndex(({ days }) => ageInDays <= days);
    this.#byAge[age] = (this.#byAge[age] ?? 0) + 1;
    if (ageInDays > idleDays) this.#past90Days++;
    this.#oldest.add(secret);
    if (lastUsed === null) this.#neverUsed++;
    if (this.#daysSince(lastUsed ?? creationDate) <= idleDays) return;
    this.#unused90Days++;
    this.#idle.add(secret);
  }

  summary() {
    return {
      users: this.#users,
      usersWhoCanSignIn: this.#usersWhoCanSignIn,
      secrets: this.#secrets,
      secretsByAge: ages.map(({ label }, index) => ({ label, count: this.#byAge[index] ?? 0 })),
      secretsPast90Days: this.#past90Days,
      oldestSecrets: this.#oldest.list(),
      neverUsed: this.#neverUsed,
      unused90Days: this.#unused90Days,
      idleSecrets: this.#idle.list(),
    };
  }

  #daysSince(time: string): number {
    return Math.max(Math.floor((this.#now.getTime() - Date.parse(time)) / day), 0);
  }
}

/** The oldest of as many as are added. */
class OldestSecrets {
  #secrets: ListedSecret[] = [];

  add(secret: ListedSecret): void {
    this.#secrets.push(secret);
    if (this.#secrets.length > 4 * longestList) this.#secrets = this.list();
  }

  list(): ListedSecret[] {
    return this.#secrets.toSorted((a, b) => b.ageInDays - a.ageInDays).slice(0, longestList);
  }
}
