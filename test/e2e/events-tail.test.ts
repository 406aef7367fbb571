import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { runKeyturn, serveKeyturn, startKeyturn } from '../support/keyturn-process.ts';
import { addRobot, managementClient, requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function serving() {
  const folder = temporaryFolder();
  const { url } = await serveKeyturn(folder);
  const admin = JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));
  const { body } = await requestToken(url, 'admin', admin.clientSecret);
  return { folder, call: managementClient(url, body.access_token) };
}

function startTail(folder: string, ...args: string[]) {
  const child = startKeyturn(['events', 'tail', ...args], folder);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  return { child, lines: () => output.split('\n').slice(0, -1) };
}

test('keyturn events tail follows the log of a running server', async () => {
  const { folder, call } = await serving();
  const { child, lines } = startTail(folder, '--after', '0');
  await eventually(() => expect(lines().length).toBeGreaterThan(0), 10_000);
  const { userId } = await addRobot(call);
  await eventually(() => expect(lines().at(-1)).toContain(`machineUser-${userId}`), 10_000);
  await eventually(() =>
    expect(lines().at(-1)).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z +\d+ {2}MachineSecretSet {10}machineUser-\d+ {2}by \d+ {2}\{"secretId":.*\}$/,
    ),
  );
  const positions = lines().map((line) => Number(line.split(/ +/)[1]));
  expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  child.kill('SIGINT');
  await eventually(() => expect(child.exitCode).toBe(0), 10_000);
});

test('it filters by type and user, and writes CloudEvents', async () => {
  const { folder, call } = await serving();
  await addRobot(call, 'first');
  const { userId } = await addRobot(call, 'second');
  const { child, lines } = startTail(
    folder,
    '--after',
    '0',
    '--type',
    'MachineSecretSet',
    '--user',
    'second',
    '--json',
  );
  await eventually(() => expect(lines()).toHaveLength(1), 10_000);
  expect(JSON.parse(lines()[0] ?? '')).toMatchObject({
    specversion: '1.0',
    type: 'keyturn.v1.MachineSecretSet',
    data: { userId },
  });
  child.kill('SIGTERM');
  await eventually(() => expect(child.exitCode).toBe(0), 10_000);
});

test.each([
  [['--type', 'Nothing'], /Nothing is no event type that is published/],
  [['--after', 'x'], /It must be a position/],
  [['--user', 'nobody'], /nobody/],
])('%j is refused with a reason', async (args, reason) => {
  const { folder } = await serving();
  const { status, stderr } = await runKeyturn(['events', 'tail', ...args], folder);
  expect([status, stderr]).toEqual([1, expect.stringMatching(reason)]);
});
