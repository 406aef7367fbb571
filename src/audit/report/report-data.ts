import type { EventMetadata } from '../../domain/event-metadata.ts';
import type { EventStore, RecordedEvent } from '../../eventstore/event-store.ts';
import type { MachineUserStanding } from '../../projections/machine-user-states.ts';
import { ReadModel } from '../../projections/read-model.ts';
import { canSignIn } from '../as-of.ts';
import { logBatches } from '../log-batches.ts';
import { UserNameIndex } from '../machine-user-events.ts';
import { isIntact, type LogVerification } from '../verify-log.ts';
import type { SecretUses } from './secret-uses.ts';
import { lastMondays, mondayOf } from './weeks.ts';

export interface ListedSecret {
  readonly userName: string;
  readonly userId: string;
  readonly organizationId: string;
  readonly secretId: string;
  readonly ageInDays: number;
  /** RFC 3339; absent for one that the given logs do not show in use. */
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
    readonly refusals: number;
  }[];
  readonly rotators: readonly Rotator[];
  /** Absent where no logs of the service were given. */
  readonly uses?: {
    readonly from?: string;
    readonly to?: string;
    readonly neverUsed: number;
    readonly unused90Days: number;
    readonly idleSecrets: readonly ListedSecret[];
    readonly refusals: number;
  };
}

export interface ReportOptions {
  readonly now: Date;
  readonly verification: LogVerification;
  readonly uses?: SecretUses | undefined;
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
  const { now, verification, uses } = options;
  const readModel = ReadModel.temporary();
  const rotations = new Rotations();
  let position = 0n;
  try {
    for await (const events of logBatches(eventStore)) {
      readModel.apply(events);
      for (const event of events) rotations.add(event);
      position = events.at(-1)?.position ?? position;
      options.onProgress?.(Number(position));
    }
    const standings = new Standings(now, uses);
    for (const standing of readModel.queries.machineUserStandings()) standings.add(standing);
    return {
      madeAt: now.toISOString(),
      position,
      intact: isIntact(verification),
      verification,
      ...standings.summary(),
      weeks: lastMondays(now.getTime(), weeksShown).map((monday) => ({
        monday,
        rotations: rotations.byWeek.get(monday) ?? 0,
        refusals: uses?.refusals.get(monday) ?? 0,
      })),
      rotators: await rotations.rotators(new UserNameIndex(eventStore)),
    };
  } finally {
    readModel.close();
  }
}

/** Who set secrets, and when. */
class Rotations {
  readonly byWeek = new Map<string, number>();
  readonly #byEditor = new Map<string, { rotations: number; last: string }>();

  add({ type, metadata }: RecordedEvent): void {
    if (type !== 'MachineSecretSet') return;
    const { occurredAt, editor } = metadata as unknown as EventMetadata;
    const monday = mondayOf(Date.parse(occurredAt));
    this.byWeek.set(monday, (this.byWeek.get(monday) ?? 0) + 1);
    const { rotations = 0 } = this.#byEditor.get(editor?.userId ?? '') ?? {};
    this.#byEditor.set(editor?.userId ?? '', { rotations: rotations + 1, last: occurredAt });
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
  readonly #uses: SecretUses | undefined;
  readonly #byAge = ages.map(() => 0);
  #users = 0;
  #usersWhoCanSignIn = 0;
  #secrets = 0;
  #past90Days = 0;
  #neverUsed = 0;
  #unused90Days = 0;
  readonly #oldest = new OldestSecrets();
  readonly #idle = new OldestSecrets();

  constructor(now: Date, uses: SecretUses | undefined) {
    this.#now = now;
    this.#uses = uses;
  }

  add(standing: MachineUserStanding): void {
    this.#users++;
    if (canSignIn(standing, this.#now.toISOString())) this.#usersWhoCanSignIn++;
    const { userName, userId, organizationId } = standing;
    for (const { secretId, creationDate } of standing.secrets) {
      const ageInDays = this.#daysSince(Date.parse(creationDate));
      const lastUse = this.#uses?.lastUses.get(secretId);
      this.#addSecret({
        ...{ userName, userId, organizationId, secretId, ageInDays },
        ...(lastUse !== undefined && { lastUse: new Date(lastUse).toISOString() }),
      });
    }
  }

  #addSecret(secret: ListedSecret): void {
    this.#secrets++;
    const age = ages.findIndex(({ days }) => secret.ageInDays <= days);
    this.#byAge[age] = (this.#byAge[age] ?? 0) + 1;
    if (secret.ageInDays > idleDays) this.#past90Days++;
    this.#oldest.add(secret);
    if (this.#uses === undefined) return;
    if (secret.lastUse === undefined) this.#neverUsed++;
    const idle =
      secret.lastUse === undefined ? secret.ageInDays : this.#daysSince(Date.parse(secret.lastUse));
    if (idle <= idleDays) return;
    this.#unused90Days++;
    this.#idle.add(secret);
  }

  summary() {
    const { from, to, refusals } = this.#uses ?? {};
    return {
      users: this.#users,
      usersWhoCanSignIn: this.#usersWhoCanSignIn,
      secrets: this.#secrets,
      secretsByAge: ages.map(({ label }, index) => ({ label, count: this.#byAge[index] ?? 0 })),
      secretsPast90Days: this.#past90Days,
      oldestSecrets: this.#oldest.list(),
      ...(this.#uses && {
        uses: {
          ...(from !== undefined && { from: new Date(from).toISOString() }),
          ...(to !== undefined && { to: new Date(to).toISOString() }),
          neverUsed: this.#neverUsed,
          unused90Days: this.#unused90Days,
          idleSecrets: this.#idle.list(),
          refusals: [...(refusals?.values() ?? [])].reduce((sum, count) => sum + count, 0),
        },
      }),
    };
  }

  #daysSince(time: number): number {
    return Math.max(Math.floor((this.#now.getTime() - time) / day), 0);
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
