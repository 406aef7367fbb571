import type { EventStore } from '../eventstore/event-store.ts';
import type { SecretUse } from '../projections/machine-user-states.ts';
import { ReadModel } from '../projections/read-model.ts';
import { logBatches } from './log-batches.ts';

/** Why somebody should look at a secret. */
export const staleReasons = ['replaced, still used', 'never used', 'unused', 'old'] as const;
export type StaleReason = (typeof staleReasons)[number];

export interface StaleSecret extends SecretUse {
  readonly reasons: readonly StaleReason[];
}

export interface StaleLimits {
  readonly now: Date;
  /** In days: after so long without use a secret is unused. */
  readonly unusedDays: number;
  /** In days: after so long a secret is old. */
  readonly oldDays: number;
  readonly onProgress?: (position: number) => void;
}

/** The live secrets that somebody should look at, by user name. Reads the whole log. */
export async function* staleSecrets(
  eventStore: EventStore,
  { now, onProgress, ...limits }: StaleLimits,
): AsyncGenerator<StaleSecret> {
  const readModel = ReadModel.temporary(() => now);
  try {
    for await (const events of logBatches(eventStore)) {
      readModel.apply(events);
      onProgress?.(Number(events.at(-1)?.position ?? 0n));
    }
    for (const use of readModel.queries.secretUses()) {
      const reasons = reasonsToLookAt(use, { now, ...limits });
      if (reasons.length > 0) yield { ...use, reasons };
    }
  } finally {
    readModel.close();
  }
}

const day = 24 * 3600 * 1000;

export function reasonsToLookAt(
  { creationDate, lastUsed, lastLateUse }: SecretUse,
  { now, unusedDays, oldDays }: StaleLimits,
): StaleReason[] {
  const daysSince = (time: string) => (now.getTime() - Date.parse(time)) / day;
  const isUnused = daysSince(lastUsed ?? creationDate) >= unusedDays;
  const holds: Readonly<Record<StaleReason, boolean>> = {
    'replaced, still used': lastLateUse !== null,
    'never used': lastUsed === null && isUnused,
    unused: lastUsed !== null && isUnused,
    old: daysSince(creationDate) >= oldDays,
  };
  return staleReasons.filter((reason) => holds[reason]);
}
