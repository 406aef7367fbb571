import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { SecretUseRecorder } from '../../src/application/secret-use-recorder.ts';
import { emptyStore, node, organizationId } from '../support/application.ts';
import { withAppend } from '../support/faulty-event-store.ts';

const request = { id: 'request', origin: { address: '192.0.2.1' } };

function clientOf(userId: string) {
  const credential = { kind: 'secret', id: 'secret' } as const;
  const account = { userName: userId, accessTokenType: 'jwt', tokenEpoch: 0, isActive: true } as const;
  return { ...account, userId, organizationId, credential };
}

/** A recorder on a store that fails while `isDown`. */
function recording() {
  const disk = { isDown: false };
  /** How many appends were made in each turn of the event loop that had some. */
  const appends: number[] = [];
  let isSameTurn = false;
  const store = withAppend(emptyStore(), async (append, ...args) => {
    if (disk.isDown) throw new Error('disk full');
    if (!isSameTurn) setImmediate().then(() => (isSameTurn = false));
    appends.push(isSameTurn ? (appends.pop() ?? 0) + 1 : 1);
    isSameTurn = true;
    return append(...args);
  });
  const { commands, clock } = node(store);
  const onFailure = vi.fn();
  const recorderOf = (one: typeof commands) => {
    const recorder = new SecretUseRecorder({ commands: one, userIdByLoginName: (name) => name, onFailure });
    onTestFinished(() => recorder.close());
    return recorder;
  };
  const events = (userId: string) => Array.fromAsync(store.readStream(`machineSecretUse-${userId}`));
  const counts = async (userId: string) => (await events(userId)).map(({ data }) => data['count']);
  /** Another node on the same store. */
  const startOther = () => {
    const other = node(store, clock).commands;
    return { recorder: recorderOf(other), execute: vi.spyOn(other, 'execute') };
  };
  return { disk, appends, clock, recorder: recorderOf(commands), onFailure, events, counts, startOther };
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

it('counts a minute later what another node was faster to record', async () => {
  const { clock, recorder, counts, startOther } = recording();
  const other = startOther();
  recorder.failed('robot', request);
  await vi.waitFor(async () => expect(await counts('robot')).toEqual([1]));
  clock.advance(1000);
  other.recorder.failed('robot', request);
  await Promise.all(other.execute.mock.results.map(({ value }) => value));
  await setImmediate();
  clock.advance(60_000);
  other.recorder.failed('robot', request);
  await vi.waitFor(async () => expect(await counts('robot')).toEqual([1, 2]));
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

/** Timers that only the test moves. */
function stopTimers() {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

it('stores uses that come shortly after each other together', async () => {
  stopTimers();
  const { appends, recorder } = recording();
  recorder.used(clientOf('robot'), request);
  vi.advanceTimersByTime(20);
  recorder.used(clientOf('welder'), request);
  await setImmediate();
  expect(appends).toEqual([]);
  vi.advanceTimersByTime(30);
  await setImmediate();
  expect(appends).toEqual([2]);
});

it('lets no more uses wait than one commit should have', async () => {
  stopTimers();
  const { appends, recorder } = recording();
  for (let user = 0; user < 100; user++) recorder.used(clientOf(`robot-${user}`), request);
  await setImmediate();
  expect(appends).toEqual([64]);
});

it('tells of the first use after a replacement though another one was just before it', async () => {
  const { recorder, events } = recording();
  const client = clientOf('robot');
  const late = { ...client, credential: { ...client.credential, isReplaced: true } };
  for (const one of [client, client, late, late]) recorder.used(one, request);
  await recorder.close();
  expect((await events('robot')).map(({ type }) => type)).toEqual([
    'MachineSecretUsed',
    'MachineSecretUsedAfterReplacement',
  ]);
});

it('stores what waits before it closes', async () => {
  const { appends, recorder } = recording();
  recorder.used(clientOf('robot'), request);
  await recorder.close();
  expect(appends).toEqual([1]);
});
