import { expect, test } from 'vitest';
import { runKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('keyturn keys lists and rotates the signing keys of the running service', async () => {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder);
  const list = await runKeyturn(['keys', 'list'], folder);
  expect([list.status, list.stderr]).toEqual([0, '']);
  expect(list.stdout).toMatch(/ES256.*signing/);

  const rotated = await runKeyturn(['keys', 'rotate', '--json'], folder);
  const [key] = JSON.parse(rotated.stdout);
  expect(key.state).toBe('SIGNING_KEY_STATE_PENDING');
  const after = await runKeyturn(['keys', 'list', '--json', '--url', keyturn.url], folder);
  expect(JSON.parse(after.stdout).map(({ id }: { id: string }) => id)[0]).toBe(key.id);

  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  const stopped = await runKeyturn(['keys', 'list'], folder);
  expect([stopped.status, stopped.stderr]).toEqual([1, expect.stringContaining('no Keyturn answers at')]);
  const elsewhere = await runKeyturn(['keys', 'list', '--data-dir', 'nowhere'], folder);
  expect([elsewhere.status, elsewhere.stderr]).toEqual([1, expect.stringContaining('cannot be read')]);
});
