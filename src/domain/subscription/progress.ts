import { z } from 'zod';
import type { Decider } from '../decider.ts';
import { KeyturnError } from '../errors.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

const id = z.string().min(1);
/** A 64-bit integer as a decimal string. */
const decimal = z.string().regex(/^\d+$/);
const dateTime = z.iso.datetime({ precision: 3 });

const workerSchema = z.strictObject({
  /** Made anew by each worker, so that one of before a restart is another. */
  workerId: id,
  /** The process that the worker runs in. */
  nodeId: id,
});

const pendingEventSchema = z.strictObject({
  stream: id,
  revision: decimal,
  /** How often it was tried in vain. */
  attempts: z.int().min(0),
  /** When it was first tried in vain. */
  failingSince: dateTime.exactOptional(),
});

const progressSchema = z.strictObject({
  /** All of the log up to here is delivered, parked or left out by the filter, except for what is pending. */
  position: decimal,
  pending: z.array(pendingEventSchema),
  /** Since when nothing could be delivered any more. */
  failingSince: dateTime.exactOptional(),
});

/** How far a subscriber has come. Coarse: some events may come again after a crash, none is left out. */
export const progressEventSchemas = {
  SubscriptionClaimed: { version: 1, data: workerSchema },
  /** Holds the whole state, so that a reader needs nothing from before it. */
  SubscriptionAdvanced: {
    version: 1,
    data: z.strictObject({ ...workerSchema.shape, ...progressSchema.shape }),
  },
} as const satisfies EventSchemas;

export type ProgressEvent = EventsOf<typeof progressEventSchemas>;
export type SubscriptionWorkerRef = z.output<typeof workerSchema>;
export type PendingEvent = z.output<typeof pendingEventSchema>;
export type Progress = z.output<typeof progressSchema>;

export interface SubscriptionState {
  /** Who delivers now. */
  readonly worker: SubscriptionWorkerRef | undefined;
  /** Undefined before anything was saved. */
  readonly progress: Progress | undefined;
}

export type ProgressCommand =
  /**
   * Makes this worker the one that delivers; all others find out with their next command.
   * `supersedes`: only if that worker holds it (null: no one); undefined: whoever does.
   */
  | ({
      readonly type: 'ClaimSubscription';
      readonly supersedes?: string | null | undefined;
    } & SubscriptionWorkerRef)
  | ({ readonly type: 'AdvanceSubscription'; readonly progress: Progress } & SubscriptionWorkerRef);

export const progressDecider: Decider<ProgressCommand, ProgressEvent, SubscriptionState> = {
  initialState: { worker: undefined, progress: undefined },

  decide(command, state) {
    const { workerId, nodeId } = command;
    const isHolder = state.worker?.workerId === workerId;
    switch (command.type) {
      case 'ClaimSubscription':
        if (isHolder) return [];
        if (command.supersedes !== undefined && command.supersedes !== (state.worker?.workerId ?? null)) {
          throw new KeyturnError('SUBSCRIPTION_TAKEN_OVER');
        }
        return [{ type: 'SubscriptionClaimed', data: { workerId, nodeId } }];
      case 'AdvanceSubscription':
        if (!isHolder) throw new KeyturnError('SUBSCRIPTION_TAKEN_OVER');
        return [{ type: 'SubscriptionAdvanced', data: { workerId, nodeId, ...command.progress } }];
    }
  },

  evolve(state, { type, data }) {
    const { workerId, nodeId } = data;
    const worker = { workerId, nodeId };
    if (type === 'SubscriptionClaimed') return { ...state, worker };
    const { position, pending, failingSince } = data;
    return {
      worker,
      progress: { position, pending, ...(failingSince !== undefined && { failingSince }) },
    };
  },
};
