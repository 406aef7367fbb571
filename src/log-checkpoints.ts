import type { Logger } from 'pino';
import type { PublishedCheckpoints } from './api/audit/checkpoint-routes.ts';
import { openCheckpointKey } from './application/checkpoint-keys.ts';
import type { CommandHandler } from './application/command-handler.ts';
import type { MasterKeys } from './application/master-keys.ts';
import { AuditError } from './audit/audit-error.ts';
import { CheckpointKeeper, type CheckpointKeeperOptions } from './audit/checkpoints/checkpoint-keeper.ts';
import { formatVerifierKey } from './audit/checkpoints/signed-note.ts';
import type { EventStore } from './eventstore/event-store.ts';

export interface CheckpointConfig {
  /** In seconds: how often a grown log is signed. 0, or absent: never. */
  readonly checkpointInterval?: number | undefined;
}

interface Dependencies {
  readonly eventStore: EventStore;
  readonly commands: CommandHandler;
  readonly masterKeys: MasterKeys;
  readonly directory: { managementProjectId(): string | undefined };
  readonly treeFolder: string;
  readonly logger: Logger;
  readonly onRelease: (release: () => Promise<void>) => void;
}

const unsigned = 'no checkpoint of the log could be signed';

/** The signed checkpoints of this process's log: published once `start` was called on an instance that is set up. */
export function createLogCheckpoints(
  { checkpointInterval = 0 }: CheckpointConfig,
  dependencies: Dependencies,
) {
  const { eventStore, commands, masterKeys, directory, treeFolder, logger, onRelease } = dependencies;
  const onFailure = (error: unknown) => logger.error({ err: error }, unsigned);
  let keeper: CheckpointKeeper | undefined;
  onRelease(async () => {
    // The last one covers what the last requests did.
    await keeper?.advance().catch(onFailure);
    await keeper?.stop();
  });
  const published: PublishedCheckpoints = {
    current: () => keeper?.current(),
    verifierKey: () => keeper && formatVerifierKey(keeper.verifier),
  };

  return {
    published,
    async start(): Promise<void> {
      if (checkpointInterval === 0) return;
      const key = await openCheckpointKey(commands, masterKeys, `keyturn/${directory.managementProjectId()}`);
      keeper = openKeeper({ eventStore, treeFolder, key }, onFailure);
      keeper?.start(checkpointInterval * 1000, onFailure);
    },
  };
}

/** A service whose checkpoints cannot go on still serves: what it signed once must not be contradicted. */
function openKeeper(
  options: CheckpointKeeperOptions,
  onFailure: (error: unknown) => void,
): CheckpointKeeper | undefined {
  try {
    return new CheckpointKeeper(options);
  } catch (error) {
    if (!(error instanceof AuditError)) throw error;
    onFailure(error);
    return undefined;
  }
}
