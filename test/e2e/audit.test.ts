import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { runKeyturn, serveKeyturn } from '../support/keyturn-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function stoppedInstance(): Promise<string> {
  const folder = temporaryFolder();
  const keyturn = await serveKeyturn(folder);
  keyturn.process.kill('SIGTERM');
  await keyturn.ended;
  return folder;
}

describe('keyturn verify', () => {
  it('finds the log of a running and of a stopped instance intact', async () => {
    const folder = temporaryFolder();
    const keyturn = await serveKeyturn(folder);
    const running = await runKeyturn(['verify'], folder);
    expect(running).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^intact: \d+ events/),
      stderr: '',
    });
    keyturn.process.kill('SIGTERM');
    await keyturn.ended;
    expect(await runKeyturn(['verify'], folder)).toMatchObject({ status: 0, stdout: running.stdout });
  });

  it('names the event that was edited, and ends with status 1', async () => {
    const folder = await stoppedInstance();
    const db = new DatabaseSync(join(folder, 'data/events.db'));
    db.exec(
      `UPDATE events SET metadata = json_remove(metadata, '$.editor') WHERE stream = 'instance-keyturn' AND revision = 1`,
    );
    db.close();
    const text = await runKeyturn(['verify'], folder);
    expect(text.status).toBe(1);
    expect(text.stdout).toMatch(/^BROKEN: event 1 of stream instance-keyturn at position \d+ is changed: /);
    const json = await runKeyturn(['verify', '--format', 'json'], folder);
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      intact: false,
      fault: { kind: 'changed', stream: 'instance-keyturn', revision: '1' },
    });
  });

  it('says where it looked when there is no log, and makes nothing', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'data'));
    const { status, stderr } = await runKeyturn(['verify', '--data-dir', 'elsewhere'], folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^keyturn: there is no event log at .*elsewhere\/events\.db/);
  });
});

describe('keyturn history', () => {
  it('shows a user of a running instance as a table, JSON, NDJSON and CSV', async () => {
    const folder = temporaryFolder();
    await serveKeyturn(folder);
    const shown = async (...args: string[]) => {
      const { status, stdout, stderr } = await runKeyturn(['history', 'admin', ...args], folder);
      expect([status, stderr]).toEqual([0, '']);
      return stdout;
    };
    expect(await shown()).toMatch(/MachineUserAdded .*Keyturn/);
    const json = JSON.parse(await shown('--format', 'json'));
    expect(json.map((entry: { type: string }) => entry.type)).toEqual([
      'MachineUserAdded',
      'MachineSecretSet',
      'InstanceMemberAdded',
    ]);
    const lines = (await shown('--format', 'ndjson')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(json);
    const [head, ...rows] = (await shown('--format', 'csv', '--type', 'MachineSecretSet'))
      .trimEnd()
      .split('\n');
    expect(head).toMatch(/^time,type,sequence,/);
    expect(rows).toEqual([expect.stringContaining(',MachineSecretSet,2,')]);
  });

  it.each([
    [['nobody'], 'keyturn: there is no machine user with the id or the user name "nobody"\n'],
    [['admin', '--type', 'Nonsense'], 'keyturn: Nonsense is no event type: docs/events.md lists them\n'],
    [['admin', '--since', 'yesterday'], expect.stringContaining('It must be a time as 2026-01-31T14:05:00Z')],
  ])('refuses %j and says why', async (args, message) => {
    const folder = await stoppedInstance();
    expect(await runKeyturn(['history', ...args], folder)).toMatchObject({
      status: 1,
      stdout: '',
      stderr: message,
    });
  });
});
