import type { EventStore } from '../../src/eventstore/event-store.ts';
import { ReadModel } from '../../src/projections/read-model.ts';

/** As a replay leaves it, without one: a projector can go on from where it stands. */
export async function openReadModel(
  file: string,
  eventStore: EventStore,
  clock?: () => Date,
): Promise<ReadModel> {
  const readModel = ReadModel.open(file, clock);
  await readModel.checkLog(eventStore);
  readModel.finish();
  return readModel;
}
