import { parentPort, workerData } from 'node:worker_threads';
import { StoredFeed, type StoredFeedOptions } from '../../subscriptions/stored-feed.ts';
import type { CatchUpAnswer, CatchUpRequest } from './catch-up-thread.ts';
import { eventText } from './event-texts.ts';

/** The thread's side of `CatchUpThread`: says that it is there, and then answers one request after the other. */
const feed = new StoredFeed(workerData as StoredFeedOptions);
let answering = Promise.resolve();

parentPort?.on('message', (request: CatchUpRequest) => {
  answering = answering.then(() => answer(request));
});
parentPort?.postMessage('ready' satisfies CatchUpAnswer);

async function answer({ idSuffix, ...request }: CatchUpRequest): Promise<void> {
  try {
    const part = await feed.read(request, (at, json) => eventText(at, json, idSuffix));
    parentPort?.postMessage(part satisfies CatchUpAnswer);
  } catch {
    parentPort?.postMessage('failed' satisfies CatchUpAnswer);
  }
}
