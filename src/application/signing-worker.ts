import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { type CurveAlgorithm, signOnCurve } from './jws.ts';
import type { SigningThreadMessage } from './signing-thread.ts';

/** The thread's side of `SigningThread`: learns keys, and answers each batch with the signed ones in the same order. */
const keys = new Map<number, { readonly algorithm: CurveAlgorithm; readonly privateKey: KeyObject }>();

parentPort?.on('message', (message: SigningThreadMessage) => {
  if ('privateKey' in message) {
    keys.set(message.key, message);
    return;
  }
  const key = keys.get(message.key);
  if (key === undefined) throw new Error('the thread was not told of this key');
  parentPort?.postMessage(message.unsigned.map((one) => signOnCurve(one, key.algorithm, key.privateKey)));
});
