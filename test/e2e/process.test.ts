import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { runKeyturn, serveKeyturn, startKeyturn } from '../support/keyturn-process.ts';
import { requestToken } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const readCredentials = (folder: string) =>
  JSON.parse(readFileSync(join(folder, 'data/admin-credentials.json'), 'utf8'));

async function signInStatus(url: string, folder: string): Promise<number> {
  const { clientId, clientSecret } = readCredentials(folder);
  return (await requestToken(url, clientId, clientSecret)).status;
}

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s lets a request under way finish and takes no new one',
    async (signal) => {
      const keyturn = await serveKeyturn(temporaryFolder());
      const body = 'grant_type=client_credentials&client_id=a&client_secret=b';
      const slow = request(`${keyturn.url}/oauth/v2/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length },
      });
      slow.write(body.slice(0, 10));
      // The server has taken the slow request once it answers a later one on a new connection.
      await fetch(`${keyturn.url}/debug/healthz`);
      keyturn.process.kill(signal);
      await expect
        .poll(() =>
          fetch(`${keyturn.url}/debug/healthz`).then(
            (answer) => answer.status,
            () => 'refused',
          ),
        )
        .toBe('refused');

      slow.end(body.slice(10));
      const [response] = await once(slow, 'response');
      expect(response.statusCode).toBe(401);
      response.resume();
      expect(await keyturn.ended).toMatchObject({ status: 0 });
      expect(keyturn.output()).toContain('"msg":"stopped"');
    },
  );
});

test('a reader of the log that has stopped reading stops neither the service nor its end', async () => {
  const folder = temporaryFolder();
  const keyturn = startKeyturn(['serve', '--port', '0'], folder);
  const exited = once(keyturn, 'exit');
  let output = '';
  let url: string | undefined;
  while (url === undefined) {
    const [chunk] = await once(keyturn.stdout, 'data');
    output += chunk;
    url = /"url":"(http[^"]+)".*"msg":"serving"/.exec(output)?.[1];
  }
  keyturn.stdout.pause();
  // Each logs a line with its path: far more than a pipe and its reader take in.
  const path = `${url}/${'x'.repeat(8000)}`;
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(path)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
    await Promise.all(answers.map((answer) => answer.text()));
  }
  keyturn.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test.skipIf(!existsSync('/dev/full'))(
  'a log that cannot be written stops neither the service nor its end',
  async () => {
    const [program, ...args] = ['sh', '-c', 'exec "$0" "$@" > /dev/full', process.execPath] as const;
    const main = join(import.meta.dirname, '../../src/cli/main.js');
    const keyturn = spawn(program, [...args, main, 'serve', '--port', '0'], { cwd: temporaryFolder() });
    onTestFinished(() => void keyturn.kill('SIGKILL'));
    const exited = once(keyturn, 'exit');
    let told = '';
    let url: string | undefined;
    while (url === undefined) {
      const [chunk] = await once(keyturn.stderr, 'data');
      told += chunk;
      url = /Keyturn is ready at (http\S+)/.exec(told)?.[1];
    }
    for (let request = 0; request < 3; request++) {
      expect((await fetch(`${url}/debug/healthz`)).status).toBe(200);
    }
    keyturn.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  },
);

test.skipIf(!existsSync('/proc/self/task'))(
  'threads that hash leave the cores to the thread that answers',
  async () => {
    const { process: keyturn } = await serveKeyturn(temporaryFolder());
    const threads = readdirSync(`/proc/${keyturn.pid}/task`);
    const hashing = threads.filter((thread) => {
      const folder = `/proc/${keyturn.pid}/task/${thread}`;
      // Others may have ended meanwhile.
      return existsSync(folder) && readFileSync(`${folder}/comm`, 'utf8') === 'libuv-worker\n';
    });
    expect(hashing.length).toBeGreaterThanOrEqual(2);
    const ours = getPriority();
    expect(getPriority(keyturn.pid)).toBe(ours);
    for (const thread of hashing) expect(getPriority(Number(thread))).toBe(Math.min(ours + 5, 19));
  },
);

test('a second server on the same data directory refuses to start and says why', async () => {
  const folder = temporaryFolder();
  const first = await serveKeyturn(folder);
  const second = await runKeyturn(['serve', '--port', '0'], folder);
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(
    new RegExp(`^keyturn: .*events.db is in use by another Keyturn: process ${first.process.pid} on .*\n$`),
  );
  expect((await fetch(`${first.url}/debug/ready`)).status).toBe(200);
});

test('a killed server leaves nothing in the way of the next one', async () => {
  const folder = temporaryFolder();
  const first = await serveKeyturn(folder);
  first.process.kill('SIGKILL');
  await first.ended;
  const second = await serveKeyturn(folder);
  expect(await signInStatus(second.url, folder)).toBe(200);
});

test('a deleted read model is built anew by the next start', async () => {
  const folder = temporaryFolder();
  const first = await serveKeyturn(folder);
  first.process.kill('SIGTERM');
  await first.ended;
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(join(folder, `data/read-model.db${suffix}`), { force: true });
  const second = await serveKeyturn(folder);
  expect(await signInStatus(second.url, folder)).toBe(200);
});

test('probes tell that it runs and that it serves', async () => {
  const { url } = await serveKeyturn(temporaryFolder());
  expect(await (await fetch(`${url}/debug/healthz`)).json()).toEqual({ status: 'ok' });
  expect(await (await fetch(`${url}/debug/ready`)).json()).toEqual({
    status: 'ready',
    eventStore: 'reachable',
  });
});

test('a port in use is named', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { status, stderr } = await runKeyturn(['serve', '--port', String(port)], temporaryFolder());
  expect([status, stderr]).toEqual([1, expect.stringContaining(`127.0.0.1:${port}`)]);
});

test('a data directory that cannot be made is named', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), '');
  const { status, stderr } = await runKeyturn(['serve', '--data-dir', 'file/data', '--port', '0'], folder);
  expect([status, stderr]).toEqual([1, expect.stringContaining('file/data')]);
});

test('a master key that is not the one of the data directory is refused', async () => {
  const folder = temporaryFolder();
  const first = await serveKeyturn(folder);
  first.process.kill('SIGTERM');
  await first.ended;
  const other = Buffer.alloc(32, 7).toString('base64');
  const { status, stderr } = await runKeyturn(['serve', '--port', '0'], folder, {
    KEYTURN_MASTER_KEY: other,
  });
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(
      /^keyturn: the master key is not the one that .*personal-keys\.db was written with/,
    ),
  ]);
});

describe('settings', () => {
  it.each([
    [
      { KEYTURN_PORT: 'http' },
      "'http' from env 'KEYTURN_PORT' is invalid. It must be a whole number from 0 to 65535.",
    ],
    [{ KEYTURN_PORT: '65536' }, 'from 0 to 65535'],
    [
      { KEYTURN_BCRYPT_COST: '3' },
      "'3' from env 'KEYTURN_BCRYPT_COST' is invalid. It must be a whole number from 4 to 31.",
    ],
    [{ KEYTURN_LOG_LEVEL: 'loud' }, "'KEYTURN_LOG_LEVEL' is invalid. Allowed choices are fatal"],
    [{ KEYTURN_EXTERNAL_URL: 'ftp://x' }, 'It must be an http or https URL.'],
    [{ KEYTURN_EXTERNAL_URL: 'https://x?y=z' }, 'It must have no query, no fragment and no credentials.'],
    [{ KEYTURN_MASTER_KEY: 'c2hvcnQ=' }, 'It must be 32 bytes in base64.'],
    [{ KEYTURN_EVENTSTORE: 'mysql://db' }, 'not usable: it begins with esdb://'],
    [{ KEYTURN_EVENTSTORE: 'esdb://127.0.0.1:1?tls=false' }, 'KEYTURN_MASTER_KEY (--master-key) is required'],
    [
      { KEYTURN_CREDENTIAL_CHECK: 'maybe' },
      "'KEYTURN_CREDENTIAL_CHECK' is invalid. Allowed choices are read",
    ],
  ])('%j are refused by name before anything is written', async (environment, message) => {
    const folder = temporaryFolder();
    const { status, stderr } = await runKeyturn(['serve'], folder, environment as Record<string, string>);
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(() => readFileSync(join(folder, 'data/events.db'))).toThrow('ENOENT');
  });

  it('never print a master key or a connection string that is wrong', async () => {
    const { stdout, stderr } = await runKeyturn(['serve'], temporaryFolder(), {
      KEYTURN_MASTER_KEY: 'c2hvcnQ=',
    });
    expect(stdout + stderr).not.toContain('c2hvcnQ=');
    const other = await runKeyturn(['serve'], temporaryFolder(), {
      KEYTURN_EVENTSTORE: 'esdb://admin:hush@node?tlsVerifyCert=false&x=y',
    });
    expect(other.stdout + other.stderr).not.toContain('hush');
  });

  it('come from flags before the environment, and from the environment before .env', async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, '.env'),
      'KEYTURN_EXTERNAL_URL=https://from-file.example/\nKEYTURN_DATA_DIR=from-file\nKEYTURN_LOG_LEVEL=info\n',
    );
    mkdirSync(join(folder, 'elsewhere'));
    const { url } = await serveKeyturn(folder, { KEYTURN_DATA_DIR: 'elsewhere', KEYTURN_PORT: '1' });
    const { issuer } = (await (await fetch(`${url}/.well-known/openid-configuration`)).json()) as {
      issuer: string;
    };
    expect(issuer).toBe('https://from-file.example');
    expect(JSON.parse(readFileSync(join(folder, 'elsewhere/admin-credentials.json'), 'utf8')).issuer).toBe(
      issuer,
    );
  });
});
