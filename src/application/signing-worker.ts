import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { type CurveAlgorithm, jwsSeparator, signOnCurve } from './jws.ts';
import type { SigningThreadMessage } from './signing-thread.ts';

/** The thread's side of `SigningThread`: learns keys, and answers batches. */
const keys = new Map<number, { readonly algorithm: CurveAlgorithm; readonly privateKey: KeyObject }>();

parentPort?.on('message', (message: SigningThreadMessage) => {
  if ('privateKey' in message) {
    keys.set(message.key, message);
    return;
  }
  const key = keys.get(message.key);
  if (key === undefined) throw new Error('the thread was not told of this key');
  const signed = message.unsigned
    .split(jwsSeparator)
    .map((one) => signOnCurve(one, key.algorithm, key.privateKey));
  parentPort?.postMessage(signed.join(jwsSeparator));
});
