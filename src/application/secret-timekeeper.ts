import { randomUUID } from 'node:crypto';
import { KeyturnError } from '../domain/errors.ts';
import type { Clock } from './command-handler.ts';
import type { MachineSecrets } from './machine-secrets.ts';
import type { MachineUserReference } from './machine-users.ts';

export interface SecretTimekeeperOptions {
  readonly machineSecrets: MachineSecrets;
  readonly directory: {
    /** Users with a secret whose time has come, or of whose expiry nobody was told the given days before. */
    usersWithDueSecrets(
      now: Date,
      announcedDays: readonly number[],
      limit: number,
    ): readonly MachineUserReference[];
  };
  readonly clock: Clock;
  /** How many days before its expiry a secret is announced. */
  readonly announcedDays: readonly number[];
  /** Told of events that could not be stored. They are tried again; secrets end in time all the same. */
  readonly onFailure: (error: unknown) => void;
}

/** In milliseconds: how often it is looked what time has done. */
const checkInterval = 10_000;
const batchSize = 500;

/**
 * States what time does to secrets: that they expire soon, have expired, have retired. Nothing depends on it but those who react to
 * events. Every node does it: what one has stated, the others find in the state of the user, and do not state again.
 */
export class SecretTimekeeper {
  readonly #options: SecretTimekeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: SecretTimekeeperOptions) {
    this.#options = options;
  }

  /** At once, for what an outage has left, and then every ten seconds. */
  start(): void {
    const check = () => {
      this.#running ??= this.keepUp()
        .catch(this.#options.onFailure)
        .finally(() => {
          this.#running = undefined;
        });
    };
    this.#timer = setInterval(check, checkInterval);
    check();
  }

  /** Lets what is being stored finish. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** States all that is due now. */
  async keepUp(): Promise<void> {
    const { directory, clock, announcedDays, onFailure } = this.#options;
    for (;;) {
      const users = directory.usersWithDueSecrets(clock(), announcedDays, batchSize);
      const outcomes = await Promise.allSettled(users.map((user) => this.#record(user)));
      const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
      for (const { reason } of failures) onFailure(reason);
      if (users.length < batchSize || failures.length > 0) return;
    }
  }

  async #record(user: MachineUserReference): Promise<void> {
    const { machineSecrets, announcedDays } = this.#options;
    const id = randomUUID();
    try {
      await machineSecrets.recordTimes(user, announcedDays, {
        editor: null,
        correlationId: id,
        causationId: id,
      });
    } catch (error) {
      // Removed meanwhile.
      if (!(error instanceof KeyturnError && error.code === 'USER_NOT_FOUND')) throw error;
    }
  }
}
