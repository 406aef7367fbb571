import type { Logger } from 'pino';
import { replayInto } from './audit/replay/replay.ts';
import { headOf } from './eventstore/head.ts';
import { isDamage } from './eventstore/sqlite/damage.ts';
import type { InstanceLog } from './instance-log.ts';
import { onceReached } from './once-reached.ts';
import type { Queries } from './projections/projections.ts';
import { Projector } from './projections/projector.ts';
import { ReadModel } from './projections/read-model.ts';
import { removeIfDamaged } from './projections/read-model-file.ts';

/** Told how far the read model has come, in positions of the log, until it has caught up. */
export type OnCatchUp = (progress: { readonly position: bigint; readonly head: bigint }) => void;

interface Dependencies {
  readonly log: InstanceLog;
  /** Of the read model. */
  readonly file: string;
  readonly clock: () => Date;
  readonly logger: Logger;
  readonly onCatchUp: OnCatchUp | undefined;
  readonly onRelease: (release: () => Promise<void> | void) => void;
}

/** The read model of this process, and what keeps it up with the log. */
export interface ReadSide {
  readonly directory: Queries;
  readonly projector: Projector;
  /** Overwrites what was deleted. Throws where somebody else reads the file: it is there still. */
  dropTraces(): void;
  /** Builds the read model as far as the log goes. From then on it follows the log. */
  catchUp(): Promise<void>;
  /** Resolves after the end. Rejects when the read model cannot follow the log any more, or was found damaged. */
  finished(): Promise<void>;
}

export function createReadSide({ log, file, clock, logger, onCatchUp, onRelease }: Dependencies): ReadSide {
  const eventStore = log.opened;
  const damage = Promise.withResolvers<never>();
  damage.promise.catch(() => {});
  let isDamaged = false;
  const noteDamage = (error: unknown) => {
    isDamaged ||= isDamage(error);
    if (isDamaged) damage.reject(error);
  };
  // Runs when the file is closed, and before the lock of the log is let go. It is looked at once more: the log may be what is damaged.
  onRelease(() => {
    if (isDamaged) removeIfDamaged(file);
  });
  let readModel: ReadModel;
  try {
    readModel = ReadModel.open(file, clock, noteDamage);
  } catch (error) {
    noteDamage(error);
    throw error;
  }
  onRelease(() => {
    try {
      readModel.close();
    } catch (error) {
      noteDamage(error);
      if (!isDamaged) throw error;
    }
  });
  let head = 0n;
  const projector = new Projector({
    eventStore,
    readModel,
    clock,
    onProgress: ({ position }) => {
      if (!projector.isReady) onCatchUp?.({ position, head });
    },
  });
  onRelease(() => projector.stop());

  return {
    directory: readModel.queries,
    projector,
    dropTraces() {
      if (readModel.dropTraces()) return;
      throw new Error('the read model is being read: what was deleted is still in its file');
    },
    async catchUp() {
      head = await onceReached(logger, () => headOf(eventStore));
      const onProgress = (position: number) => onCatchUp?.({ position: BigInt(position), head });
      // Into the file that is open here: nobody is answered from it before the service is ready.
      const replay = () => replayInto(file, { eventStore, ...log.file }, { onProgress });
      await onceReached(logger, replay).catch((error: unknown) => {
        noteDamage(error);
        throw error;
      });
      readModel.forgetAnswers();
      projector.start();
      projector.finished().catch(noteDamage);
      await projector.caughtUp;
    },
    finished: () => Promise.race([projector.finished(), damage.promise]),
  };
}
