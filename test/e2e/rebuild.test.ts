import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { writeEventLog } from '../../bench/event-log.ts';
import { runKeyturn, serveKeyturn, startKeyturn } from '../support/keyturn-process.ts';
import { requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** So many that a rebuild takes long enough to be looked at, and killed. */
const events = 100_000;

/** How far the read model has been built; undefined where it cannot be read, as while there is none, or while another process opens it. */
function builtTo(file: string): number | undefined {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: 1000 });
    return Number(db.prepare('SELECT position FROM checkpoint').get()?.['position'] ?? 0);
  } catch {
    return undefined;
  } finally {
    db?.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts Keyturn on a log that it has no read model of, and kills it when a part of that is built. On a busy machine all of it may
 * be built before that is seen: then once more.
 *
 * @returns what it answered meanwhile, and how far it came
 */
async function killedRebuild(folder: string, readModel: string) {
  for (const suffix of ['', '-wal', '-shm']) rmSync(readModel + suffix, { force: true });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const keyturn = startKeyturn(['serve', '--port', String(port)], folder);
  const exited = once(keyturn, 'exit');
  while (!builtTo(readModel)) await delay(2);
  const meanwhile = Promise.all([fetch(`${url}/debug/ready`), requestToken(url, 'robot', 'secret')]).catch(
    () => undefined,
  );
  const [ready, token] = (await meanwhile) ?? [];
  keyturn.kill('SIGKILL');
  await exited;
  const position = builtTo(readModel) ?? 0;
  if (position === 0 || position >= events || ready?.status !== 503) return killedRebuild(folder, readModel);
  return { position, ready: await ready.json(), token };
}

test('a read model is not answered from while it is built, and a rebuild that was killed is gone on with', async () => {
  const folder = temporaryFolder();
  const readModel = join(folder, 'data/read-model.db');
  mkdirSync(join(folder, 'data'));
  await writeEventLog(join(folder, 'data/events.db'), { events, users: events / 2 });

  const { position, ready, token } = await killedRebuild(folder, readModel);
  expect(ready).toMatchObject({
    status: 'not ready',
    reason: expect.stringContaining('the read model to catch up with the log'),
  });
  expect(token?.status).toBe(503);

  const seen: number[] = [];
  const isServing = new AbortController();
  const watching = (async () => {
    while (!isServing.signal.aborted) {
      const position = builtTo(readModel);
      if (position !== undefined) seen.push(position);
      await delay(20);
    }
  })();
  const keyturn = await serveKeyturn(folder);
  isServing.abort();
  await watching;
  expect(seen.length).toBeGreaterThan(1);
  expect(Math.min(...seen)).toBeGreaterThanOrEqual(position);
  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  const checked = await runKeyturn(['replay', '--check'], folder);
  expect(checked).toMatchObject({ status: 0, stderr: expect.stringContaining('row by row') });
}, 120_000);
