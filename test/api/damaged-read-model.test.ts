import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { userAdded, writeEvents } from '../../bench/event-log.ts';
import { startService } from '../../src/service.ts';
import { type Admin, requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** In bytes: of SQLite's files, as Keyturn makes them. */
const pageLength = 4096;

function start(dataDir: string) {
  return startService(
    { host: '127.0.0.1', port: 0, bcryptCost: 4, dataDir },
    { logger: pino({ level: 'silent' }) },
  );
}

/** A copy of the data directory in which one page of the read model is not what was written. */
function withDamagedPage(dataDir: string, page: number): string {
  const copy = temporaryFolder();
  cpSync(dataDir, copy, { recursive: true });
  const file = join(copy, 'read-model.db');
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(0xff, page * pageLength, (page + 1) * pageLength));
  return copy;
}

/** @returns the status of a sign-in. A service that cannot answer it must end */
async function signInAfterStart(dataDir: string, { clientId, clientSecret }: Admin): Promise<number> {
  const service = await start(dataDir);
  const end = service.finished.then(
    () => 'closed',
    () => 'failed',
  );
  const { status } = await requestToken(service.url, clientId, clientSecret);
  if (status === 500) expect(await end).toBe('failed');
  await service.close();
  return status;
}

test('one that is damaged and far behind is built anew by the start that finds it', async () => {
  const dataDir = temporaryFolder();
  await (await start(dataDir)).close();
  const admin = JSON.parse(readFileSync(join(dataDir, 'admin-credentials.json'), 'utf8')) as Admin;
  const added = Array.from({ length: 21_000 }, (_, index) => ({
    stream: `machineUser-${index}`,
    ...userAdded(admin.organizationId, `robot-${index}`, 'jwt'),
  }));
  writeEvents(join(dataDir, 'events.db'), admin.organizationId, added);
  for (const page of [3, 8, 14]) {
    expect(await signInAfterStart(withDamagedPage(dataDir, page), admin), `page ${page}`).toBe(200);
  }
}, 120_000);

test('whichever page of the read model is damaged, it is built anew, at the latest by the next start', async () => {
  const dataDir = temporaryFolder();
  await (await start(dataDir)).close();
  const admin = JSON.parse(readFileSync(join(dataDir, 'admin-credentials.json'), 'utf8')) as Admin;
  const pages = readFileSync(join(dataDir, 'read-model.db')).length / pageLength;
  expect(pages).toBeGreaterThan(10);
  for (let page = 0; page < pages; page++) {
    const damaged = withDamagedPage(dataDir, page);
    const status = await signInAfterStart(damaged, admin);
    expect([200, 500], `page ${page}`).toContain(status);
    if (status === 500) expect(await signInAfterStart(damaged, admin), `page ${page}`).toBe(200);
  }
}, 120_000);
