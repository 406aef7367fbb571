import { canSignIn, machineUserAsOf, machineUsersAsOf } from '../audit/as-of.ts';
import { findMachineUser } from '../audit/machine-user-events.ts';
import { type Moment, resolveMoment } from '../audit/moment.ts';
import { type StandingDifference, standingDifferences } from '../audit/standing-differences.ts';
import type { MachineUserStanding } from '../projections/machine-user-states.ts';
import { type ReadableLog, withReadableLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { jsonArray, ndjson, tableBlocks, writeOut, writePaged } from './output.ts';

export interface AsOfSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly format: 'table' | 'json' | 'ndjson';
  readonly user?: string | undefined;
}

/** Shows who could sign in at a moment, with which secret, and who had which role. */
export async function asOf(moment: string, settings: AsOfSettings): Promise<void> {
  await withReadableLog(settings, async (log) => {
    const at = await resolveMoment(log.eventStore, moment);
    const standings = standingsAt(log, at, settings.user);
    if (settings.format === 'table') await writePaged(standingTable(standings, at));
    else await writeAs(settings.format, withSignIn(standings, at));
  });
}

/** Shows what changed between two moments. */
export async function diff(from: string, to: string, settings: AsOfSettings): Promise<void> {
  await withReadableLog(settings, async (log) => {
    const [a, b] = [await resolveMoment(log.eventStore, from), await resolveMoment(log.eventStore, to)];
    const { user, format } = settings;
    const differences = standingDifferences(standingsAt(log, a, user), standingsAt(log, b, user));
    if (format === 'table') await writePaged(differenceTable(differences));
    else await writeAs(format, differences);
  });
}

async function writeAs(format: 'json' | 'ndjson', values: AsyncIterable<unknown>): Promise<void> {
  await writeOut(format === 'json' ? jsonArray(values) : ndjson(values));
}

async function* standingsAt(
  log: ReadableLog,
  { position }: Moment,
  user: string | undefined,
): AsyncGenerator<MachineUserStanding> {
  if (user !== undefined) {
    const standing = await machineUserAsOf(log.eventStore, await findMachineUser(log, user), position);
    if (standing !== undefined) yield standing;
    return;
  }
  const progress = eventProgress('reading the log');
  try {
    for await (const standing of machineUsersAsOf(log.eventStore, position, {
      onProgress: progress.update,
    })) {
      progress.stop();
      yield standing;
    }
  } finally {
    progress.stop();
  }
}

async function* withSignIn(standings: AsyncIterable<MachineUserStanding>, { time }: Moment) {
  for await (const standing of standings) yield { ...standing, canSignIn: canSignIn(standing, time) };
}

async function* standingTable(
  standings: AsyncIterable<MachineUserStanding>,
  { position, time }: Moment,
): AsyncGenerator<string> {
  yield `As of position ${position}${time === undefined ? '' : `, ${time}`}:\n`;
  const head = ['User', 'Organization', 'State', 'Signs in', 'Secret or key, and its age', 'Roles'];
  yield* tableBlocks(standings, { head, empty: 'No machine users.' }, (standing) => [
    `${standing.userName}\n${standing.userId}`,
    standing.organizationId,
    standing.state,
    canSignIn(standing, time) ? 'yes' : 'no',
    [
      ...standing.secrets.map(({ secretId, creationDate }) => `${secretId}, ${ageAt(time, creationDate)}`),
      ...standing.keys.map(
        ({ keyId, creationDate, expiresAt }) =>
          `key ${keyId}, ${ageAt(time, creationDate)}, until ${expiresAt}`,
      ),
    ].join('\n'),
    standing.roles
      .map(({ organizationId, roles }) => `${roles.join(' ')} in ${organizationId || 'the instance'}`)
      .join('\n'),
  ]);
}

async function* differenceTable(differences: AsyncIterable<StandingDifference>): AsyncGenerator<string> {
  const options = { head: ['User', '', 'What changed'], empty: 'No difference.' };
  yield* tableBlocks(differences, options, ({ userId, userName, kind, fields }) => [
    `${userName}\n${userId}`,
    kind,
    fields.map(({ field, from, to }) => `${field}: ${from} → ${to}`).join('\n'),
  ]);
}

function ageAt(time: string | undefined, creationDate: string): string {
  const age = Date.parse(time ?? creationDate) - Date.parse(creationDate);
  const days = Math.floor(age / 86_400_000);
  if (days > 0) return days === 1 ? '1 day' : `${days} days`;
  const minutes = Math.max(Math.floor(age / 60_000), 0);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}
