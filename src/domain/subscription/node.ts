import { z } from 'zod';
import type { Decider } from '../decider.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

/** That a process which delivers to subscribers is alive: others take over what it held when it no longer is. */
export const nodeEventSchemas = {
  NodeSeen: { version: 1, data: z.strictObject({}) },
  /** It stopped in good order. */
  NodeLeft: { version: 1, data: z.strictObject({}) },
} as const satisfies EventSchemas;

export type NodeEvent = EventsOf<typeof nodeEventSchemas>;
export type NodeState = 'unknown' | 'seen' | 'left';
export interface NodeCommand {
  readonly type: 'Beat' | 'Leave';
}

export const nodeDecider: Decider<NodeCommand, NodeEvent, NodeState> = {
  initialState: 'unknown',

  decide({ type }, state) {
    if (type === 'Beat') return [{ type: 'NodeSeen', data: {} }];
    return state === 'seen' ? [{ type: 'NodeLeft', data: {} }] : [];
  },

  evolve(_state, { type }) {
    return type === 'NodeSeen' ? 'seen' : 'left';
  },
};
