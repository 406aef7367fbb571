import { checkpointKey, instanceId, streamOf } from '../../domain/aggregates.ts';
import type { EventStore } from '../../eventstore/event-store.ts';
import type { NoteVerifier } from './signed-note.ts';

/** What checkpoints of this log are verified with, by the log itself; undefined before its first checkpoint. */
export async function verifierOfLog(eventStore: EventStore): Promise<NoteVerifier | undefined> {
  for await (const { data } of eventStore.readStream(streamOf(checkpointKey, instanceId), { limit: 1 })) {
    return { name: String(data['name']), publicKey: Buffer.from(String(data['publicKey']), 'base64') };
  }
  return undefined;
}
