import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { context } from '../support/application.ts';
import { appendSecretsSet } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { adminToken, runningService } from '../support/running-service.ts';

const folder = join(import.meta.dirname, '../../docs/receivers');
const receivers: (readonly [command: string, file: string])[] = [[process.execPath, 'receiver.mjs']];
if (spawnSync('python3', ['--version']).status === 0) receivers.push(['python3', 'receiver.py']);
else process.stdout.write('docs/receivers/receiver.py: not tested, there is no python3\n');

function start(command: string, file: string, secret: string, port = 0) {
  const child = spawn(command, [join(folder, file)], {
    env: { ...process.env, KEYTURN_WEBHOOK_SECRET: secret, PORT: String(port) },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  }
  const listening = eventually(() => {
    const found = /listening on (\d+)/.exec(output)?.[1];
    if (found === undefined) throw new Error(`not listening: ${output}`);
    return Number(found);
  }, 15_000);
  return { child, output: () => output, listening };
}

test.each(receivers)(
  '%s docs/receivers/%s takes what is signed, once, and nothing else',
  async (command, file) => {
    const running = await runningService({
      webhookAllowHttp: true,
      webhookAllowedNetworks: ['127.0.0.0/8'],
      webhookRetry: { firstDelay: 50, longestDelay: 50, longestOutageDelay: 50 },
    });
    const { service, admin, url } = running;
    const token = await adminToken(running);
    const unset = start(command, file, `whsec_${Buffer.alloc(32).toString('base64')}`);
    const port = await unset.listening;
    const add = await fetch(`${url}/keyturn/v1/webhooks`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: `http://127.0.0.1:${port}/`, types: ['MachineSecretSet'] }),
    });
    const { signingSecret } = (await add.json()) as { signingSecret: string };
    const { organizationId } = admin;
    const user = {
      organizationId,
      userName: 'one',
      name: 'R',
      description: '',
      accessTokenType: 'jwt',
    } as const;
    await service.machineUsers.add({ ...user, userId: 'one' }, context);
    await appendSecretsSet(service.eventStore, 'one', 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    // It has another secret, and takes nothing.
    expect(unset.output()).toBe(`listening on ${port}\n`);
    unset.child.kill('SIGKILL');
    await eventually(() => expect(unset.child.signalCode).toBe('SIGKILL'));

    const receiver = start(command, file, signingSecret, port);
    await receiver.listening;
    await appendSecretsSet(service.eventStore, 'one', 2);
    await eventually(
      () => expect(receiver.output().match(/secret [\w-]+ of user one was set\n/g)).toHaveLength(3),
      10_000,
    );
  },
);
