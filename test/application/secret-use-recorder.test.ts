import { expect, it, onTestFinished, vi } from 'vitest';
import { SecretUseRecorder } from '../../src/application/secret-use-recorder.ts';
import { emptyStore, node } from '../support/application.ts';
import { withAppend } from '../support/faulty-event-store.ts';

const request = { id: 'request', origin: { address: '192.0.2.1' } };

/** A recorder on a store that fails while `isDown`. */
function recording() {
  const disk = { isDown: false };
  const store = withAppend(emptyStore(), async (append, ...args) => {
    if (disk.isDown) throw new Error('disk full');
    return append(...args);
  });
  const { commands, clock } = node(store);
  const onFailure = vi.fn();
  const recorder = new SecretUseRecorder({ commands, userIdByLoginName: (name) => name, onFailure });
  onTestFinished(() => recorder.close());
  const counts = async (userId: string) =>
    (await Array.fromAsync(store.readStream(`machineSecretUse-${userId}`))).map(({ data }) => data['count']);
  return { disk, clock, recorder, onFailure, counts };
}

it('counts failures again that could not be recorded', async () => {
  const { disk, clock, recorder, onFailure, counts } = recording();
  disk.isDown = true;
  recorder.failed('robot', request);
  await vi.waitFor(() => expect(onFailure).toHaveBeenCalledTimes(1));
  recorder.failed('robot', request);
  disk.isDown = false;
  clock.advance(60_000);
  recorder.failed('robot', request);
  await vi.waitFor(async () => expect(await counts('robot')).toEqual([3]));
});

it('looks at nobody else when one fails', async () => {
  const { clock, recorder, counts } = recording();
  recorder.failed('welder', request);
  await vi.waitFor(async () => expect(await counts('welder')).toEqual([1]));
  recorder.failed('welder', request);
  clock.advance(60_000);
  recorder.failed('robot', request);
  await vi.waitFor(async () => expect(await counts('robot')).toEqual([1]));
  expect(await counts('welder')).toEqual([1]);
});
