import { LRUCache } from 'lru-cache';
import { machineSecretUse } from '../domain/aggregates.ts';
import {
  type MachineSecretUseCommand,
  recordedFailureInterval,
  recordedUseInterval,
} from '../domain/machine-secret-use/decider.ts';
import type { AuthenticatedClient, AuthenticationRequest } from './client-authentication.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';

export interface SecretUseRecorderOptions {
  readonly commands: CommandHandler;
  /** The user with this user name, in any spelling. */
  readonly userIdByLoginName: (loginName: string) => string | undefined;
  /** Told of an event that could not be stored. Nothing depends on it. */
  readonly onFailure: (error: unknown) => void;
}

interface Failures {
  /** Not recorded yet. */
  count: number;
  /** Milliseconds since 1970; 0: never, as far as this process knows. */
  recordedAt: number;
  /** The last request that failed. */
  request: AuthenticationRequest;
}

interface Use {
  readonly userId: string;
  readonly command: Extract<MachineSecretUseCommand, { readonly type: 'RecordUse' }>;
  readonly context: CommandContext;
}

/** In milliseconds: so long a use waits for others, to be stored with them, */
const gatheringTime = 50;
/** unless there are so many. */
const mostGathered = 64;
/** In milliseconds: how often it is looked whether failures can be recorded now. */
const sweepInterval = 5_000;
const rememberedUsers = 100_000;

/** Records that secrets are used and that checks of secrets fail, beside the answer and never before it. */
export class SecretUseRecorder {
  readonly #options: SecretUseRecorderOptions;
  /**
   * By user, then by secret and whether it was replaced: when its use was recorded last, in milliseconds since 1970. Bounded by
   * size, so that it grows with use: `max` would make all places at once.
   */
  readonly #recordedUses = new LRUCache<string, Map<string, number>>({
    maxSize: rememberedUsers,
    sizeCalculation: () => 1,
  });
  #gathered: Use[] = [];
  #gathering: NodeJS.Timeout | undefined;
  readonly #failures = new Map<string, Failures>();
  readonly #writing = new Set<Promise<void>>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: SecretUseRecorderOptions) {
    this.#options = options;
    this.#sweep = setInterval(() => this.#recordDueFailures(), sweepInterval).unref();
  }

  /** The first use within an hour becomes an event, a moment later; the others cost a look into memory. */
  used(
    { userId, organizationId, credential }: AuthenticatedClient,
    { id, origin }: AuthenticationRequest,
  ): void {
    const now = this.#options.commands.now();
    const { id: secretId, isReplaced = false } = credential;
    // Its first use after it was replaced is news.
    const key = isReplaced ? `${secretId} replaced` : secretId;
    const ofUser = this.#recordedUses.get(userId) ?? new Map<string, number>();
    const recordedAt = ofUser.get(key);
    if (recordedAt !== undefined && now.getTime() - recordedAt < recordedUseInterval) return;
    this.#recordedUses.set(userId, ofUser.set(key, now.getTime()));
    const context = { editor: { userId, organizationId }, origin, correlationId: id, causationId: id };
    const command = { type: 'RecordUse', secretId, isReplaced, now: now.toISOString() } as const;
    this.#gathered.push({ userId, command, context });
    if (this.#gathered.length >= mostGathered) this.#writeGathered();
    else this.#gathering ??= setTimeout(() => this.#writeGathered(), gatheringTime);
  }

  /** Counted when there is such a user. At most one event a minute for each tells how many. */
  failed(loginName: string, request: AuthenticationRequest): void {
    const userId = this.#options.userIdByLoginName(loginName);
    if (userId === undefined) return;
    const { count = 0, recordedAt = 0 } = this.#failures.get(userId) ?? {};
    const failures = { count: count + 1, recordedAt, request };
    this.#failures.set(userId, failures);
    const now = this.#options.commands.now().getTime();
    if (isDue(failures, now)) this.#recordFailures(userId, failures, now);
  }

  /** Writes the uses that wait, and lets what is being written finish. Failures of the last minute that were not recorded yet are in the log only. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#writeGathered();
    await Promise.all(this.#writing);
  }

  /** All in one turn: the embedded event store makes one commit of them. */
  #writeGathered(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    for (const { userId, command, context } of this.#gathered.splice(0)) {
      this.#write(async () => {
        await this.#options.commands.execute(machineSecretUse, userId, command, context);
      });
    }
  }

  #recordDueFailures(): void {
    const now = this.#options.commands.now().getTime();
    for (const [userId, failures] of this.#failures) {
      if (!isDue(failures, now)) continue;
      if (failures.count === 0) this.#failures.delete(userId);
      else this.#recordFailures(userId, failures, now);
    }
  }

  #recordFailures(userId: string, { count, request }: Failures, now: number): void {
    const { id, origin } = request;
    this.#failures.set(userId, { count: 0, recordedAt: now, request });
    /** They wait for the next minute. */
    const postpone = () => {
      const later = this.#failures.get(userId) ?? { count: 0, recordedAt: now, request };
      this.#failures.set(userId, { ...later, count: later.count + count });
    };
    const context: CommandContext = { editor: null, origin, correlationId: id, causationId: id };
    this.#write(async () => {
      const record = { type: 'RecordFailures', count, now: new Date(now).toISOString() } as const;
      const { state, occurredAt } = await this.#options.commands
        .execute(machineSecretUse, userId, record, context)
        .catch((error) => {
          postpone();
          throw error;
        });
      // Another node recorded some within this minute.
      if (state.lastFailure !== occurredAt) postpone();
    });
  }

  #write(write: () => Promise<void>): void {
    const writing = write()
      .catch(this.#options.onFailure)
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}

function isDue({ recordedAt }: Failures, now: number): boolean {
  return now - recordedAt >= recordedFailureInterval;
}
