import { z } from 'zod';
import type { Decider } from '../decider.ts';
import type { EventSchemas, EventsOf } from '../event-schema.ts';

export const checkpointKeyEventSchemas = {
  /** The instance signs checkpoints of its log with this key, from its first one on. */
  CheckpointKeyAdded: {
    version: 1,
    data: z.strictObject({
      /** Names the log for ever: origin of its checkpoints and name of the key (c2sp.org/signed-note). */
      name: z.string().min(1),
      /** Ed25519, 32 bytes in base64. */
      publicKey: z.string().min(1),
      /** The seed (RFC 8032), 32 bytes, as a compact JWE under the master key. */
      encryptedSeed: z.string().min(1),
    }),
  },
  /** The same key under another master key. */
  CheckpointKeyReencrypted: { version: 1, data: z.strictObject({ encryptedSeed: z.string().min(1) }) },
} as const satisfies EventSchemas;

export type CheckpointKeyEvent = EventsOf<typeof checkpointKeyEventSchemas>;
export type CheckpointKey = Extract<CheckpointKeyEvent, { type: 'CheckpointKeyAdded' }>['data'];

export type CheckpointKeyState =
  | { readonly status: 'absent' }
  | ({ readonly status: 'present' } & CheckpointKey);

export type CheckpointKeyCommand =
  /** Adds nothing when there is a key already: two nodes that start at once end up with the same one. */
  | ({ readonly type: 'AddCheckpointKey' } & CheckpointKey)
  | { readonly type: 'ReencryptCheckpointKey'; readonly encryptedSeed: string };

/** The key that checkpoints are signed with. There is one, for ever: auditors know the log by it. */
export const checkpointKeyDecider: Decider<CheckpointKeyCommand, CheckpointKeyEvent, CheckpointKeyState> = {
  initialState: { status: 'absent' },

  decide(command, state) {
    if (command.type === 'AddCheckpointKey') {
      const { type: _, ...key } = command;
      return state.status === 'absent' ? [{ type: 'CheckpointKeyAdded', data: key }] : [];
    }
    const { encryptedSeed } = command;
    return state.status === 'absent' ? [] : [{ type: 'CheckpointKeyReencrypted', data: { encryptedSeed } }];
  },

  evolve(state, event) {
    if (event.type === 'CheckpointKeyAdded') return { ...event.data, status: 'present' };
    return state.status === 'absent' ? state : { ...state, ...event.data };
  },
};
