import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { mondayOf } from './weeks.ts';

/** What the logs of the service tell about the use of secrets: a grant writes no event. */
export interface SecretUses {
  /** In milliseconds since 1970: the time of the first and the last line. Absent for logs without any. */
  readonly from?: number;
  readonly to?: number;
  /** Milliseconds since 1970 by secret id. */
  readonly lastUses: ReadonlyMap<string, number>;
  /** Refused client authentications by the Monday of their week. */
  readonly refusals: ReadonlyMap<string, number>;
}

const refused = new Set(['client authentication refused', 'assertion refused']);

interface LogLine {
  readonly time: number;
  readonly msg: string;
  readonly secretId: string | undefined;
}

/** Reads logs that `keyturn serve` wrote, JSON lines, in any order. Lines of another form are passed over. */
export async function readSecretUses(files: readonly string[]): Promise<SecretUses> {
  const lastUses = new Map<string, number>();
  const refusals = new Map<string, number>();
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const file of files) {
    for await (const text of createInterface({
      input: createReadStream(file),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      const line = parseLine(text);
      if (line === undefined) continue;
      const { time, msg, secretId } = line;
      [from, to] = [Math.min(from, time), Math.max(to, time)];
      if (secretId !== undefined) lastUses.set(secretId, Math.max(lastUses.get(secretId) ?? 0, time));
      if (refused.has(msg)) refusals.set(mondayOf(time), (refusals.get(mondayOf(time)) ?? 0) + 1);
    }
  }
  return { ...(from <= to && { from, to }), lastUses, refusals };
}

function parseLine(text: string): LogLine | undefined {
  try {
    const { time, msg, secretId } = JSON.parse(text) as Record<string, unknown>;
    if (typeof time !== 'number' || typeof msg !== 'string') return undefined;
    return { time, msg, secretId: typeof secretId === 'string' ? secretId : undefined };
  } catch {
    return undefined;
  }
}
