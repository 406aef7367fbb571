import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { eventually } from '../support/eventually.ts';
import { runKeyturn, startKeyturn } from '../support/keyturn-process.ts';
import {
  addRobot,
  adminToken,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A program that keeps what comes by standard input, whole or not at all. */
const keep = (file: string) => [
  process.execPath,
  '-e',
  `const fs = require('node:fs');
   fs.writeFileSync(process.argv[1] + '.new', fs.readFileSync(0));
   fs.renameSync(process.argv[1] + '.new', process.argv[1])`,
  file,
];
/** The same, and it ends when the roll-out has: when there is such a file. */
const keepUntil = (file: string, rolledOut: string) => [
  'sh',
  '-c',
  `cat > ${file}.new && mv ${file}.new ${file} && until [ -e ${rolledOut} ]; do sleep 0.1; done`,
];
const end = (status: number) => [process.execPath, '-e', `process.exit(${status})`];

async function rotating() {
  const running = await runningService();
  const management = managementClient(running.url, await adminToken(running));
  const robot = await addRobot(management);
  const folder = temporaryFolder();
  const credentials = running.service.adminCredentialsFile;
  const args = (...more: string[]) => [
    ...['rotate', '--credentials', credentials, '--url', running.url, '--user', robot.userId],
    ...more,
  ];
  const signIn = async (secret = robot.clientSecret) =>
    (await requestToken(running.url, robot.clientId, secret, 'openid')).status;
  const liveSecrets = async () => {
    const token = await adminToken(running);
    const response = await fetch(`${running.url}/keyturn/v1/users/${robot.userId}/secrets`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return ((await response.json()) as { result: { id: string }[] }).result.map(({ id }) => id);
  };
  return { running, robot, folder, args, signIn, liveSecrets, file: join(folder, 'secret') };
}

describe('keyturn rotate', () => {
  it('rotates under a rolling deployment without a failed sign-in', async () => {
    const { running, robot, folder, args, signIn, file } = await rotating();
    const deployment = new Deployment(running.url, robot.clientId, robot.clientSecret);
    onTestFinished(() => deployment.stop());
    const rolledOut = join(folder, 'rolled-out');
    const rotation = runKeyturn(args('--', ...keepUntil(file, rolledOut)), folder);
    await eventually(() => expect(existsSync(file)).toBe(true));
    const secret = readFileSync(file, 'utf8');
    await deployment.rollOut(secret);
    writeFileSync(rolledOut, '');
    const { status, stdout, stderr } = await rotation;
    await deployment.someSignIns();
    await deployment.stop();
    expect([status, stdout, deployment.failures]).toEqual([0, '', []]);
    expect([await signIn(), await signIn(secret)]).toEqual([401, 200]);
    expect(stderr).not.toContain(secret);
  });

  it('writes the secret to a file that only its owner can read', async () => {
    const { folder, args, signIn, file } = await rotating();
    writeFileSync(file, 'old');
    const rotation = runKeyturn(args('--file', file, '--', ...end(0)), folder);
    await eventually(() => expect(readFileSync(file, 'utf8')).not.toBe('old'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await signIn(readFileSync(file, 'utf8'))).toBe(200);
    expect((await rotation).status).toBe(0);
    expect(await signIn()).toBe(401);
  });

  it('gives the command its own environment, and what was rotated', async () => {
    const { robot, folder, args, file } = await rotating();
    const write = `require('node:fs').writeFileSync(process.argv[1], JSON.stringify(process.env))`;
    await runKeyturn(args('--wait', '1', '--', process.execPath, '-e', write, file), folder);
    const { NODE_COMPILE_CACHE: ours, ...told } = JSON.parse(readFileSync(file, 'utf8'));
    expect([ours, told.PATH, told.ROTATED_CLIENT_ID]).toEqual([
      undefined,
      process.env['PATH'],
      robot.clientId,
    ]);
  });

  it.each([
    ['fails', end(3), 'ended with 3'],
    ['cannot be run', ['/nowhere/at/all'], 'cannot be run'],
    ['succeeds, but nobody uses the secret', end(0), 'not used within 1 seconds'],
  ])('leaves all as it was when the command %s', async (_, command, reason) => {
    const { robot, folder, args, signIn, liveSecrets, file } = await rotating();
    writeFileSync(file, 'old');
    const ended = await runKeyturn(args('--file', file, '--wait', '1', '--', ...command), folder);
    expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining(reason)]);
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect([await signIn(), await liveSecrets()]).toEqual([200, [robot.clientSecret.slice(4, 20)]]);
  });

  it('gives the workload its old secret back before the new one ends', async () => {
    const { robot, folder, args, signIn, liveSecrets, file } = await rotating();
    const before = join(folder, 'before');
    writeFileSync(before, robot.clientSecret);
    const undo = `cp ${before} ${file} && echo $ROTATED_SECRET_ID > ${join(folder, 'undone')}`;
    const { status, stderr } = await runKeyturn(
      args('--wait', '1', '--undo', undo, '--', ...keep(file)),
      folder,
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining('not used within 1 seconds')]);
    expect(readFileSync(file, 'utf8')).toBe(robot.clientSecret);
    const undone = readFileSync(join(folder, 'undone'), 'utf8').trim();
    expect(stderr).toContain(`retired secret ${undone}`);
    expect([await signIn(), await liveSecrets()]).toEqual([200, [robot.clientSecret.slice(4, 20)]]);
  });

  it('goes on after the service has started anew', async () => {
    const { running, folder, args, signIn, file } = await rotating();
    const rotation = runKeyturn(args('--', ...keep(file)), folder);
    await eventually(() => expect(existsSync(file)).toBe(true));
    await running.service.close();
    // It is asked in vain at least once.
    await sleep(1000);
    await runningService({ dataDir: running.dataDir, port: Number(new URL(running.url).port) });
    expect(await signIn(readFileSync(file, 'utf8'))).toBe(200);
    expect((await rotation).status).toBe(0);
    expect(await signIn()).toBe(401);
  });

  it('lets both secrets live when the workload could not get its old one back', async () => {
    const { robot, folder, args, signIn, liveSecrets, file } = await rotating();
    const rotation = args('--wait', '1', '--undo', 'exit 7', '--', ...keep(file));
    const { status, stderr } = await runKeyturn(rotation, folder);
    expect([status, stderr]).toEqual([1, expect.stringContaining('exit 7 ended with 7')]);
    expect(await liveSecrets()).toHaveLength(2);
    expect([await signIn(), await signIn(readFileSync(file, 'utf8'))]).toEqual([200, 200]);
    expect(stderr).not.toContain(robot.clientSecret);
  });

  it('leaves all as it was when the file cannot be written', async () => {
    const { robot, folder, args, liveSecrets } = await rotating();
    const nowhere = join(folder, 'no/such/folder/secret');
    const { status, stderr } = await runKeyturn(args('--file', nowhere, '--', ...end(0)), folder);
    expect([status, stderr]).toEqual([1, expect.stringContaining(`${nowhere} cannot be written`)]);
    expect(await liveSecrets()).toEqual([robot.clientSecret.slice(4, 20)]);
  });

  it('leaves all as it was when it is interrupted', async () => {
    const { robot, folder, args, signIn, liveSecrets, file } = await rotating();
    const rotation = startKeyturn(args('--', ...keep(file)), folder);
    const ended = new Promise((resolve) => rotation.once('close', resolve));
    await eventually(() => expect(existsSync(file)).toBe(true));
    rotation.kill('SIGTERM');
    expect(await ended).toBe(1);
    expect([await signIn(), await liveSecrets()]).toEqual([200, [robot.clientSecret.slice(4, 20)]]);
  });
});
