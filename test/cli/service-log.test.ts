import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const serviceLog = join(import.meta.dirname, '../../src/cli/service-log.ts');

/** Of a process that has `log` and runs `script`. */
function argumentsOf(script: string): string[] {
  const program = `import { serviceLog } from ${JSON.stringify(serviceLog)}; const log = serviceLog('info'); ${script}`;
  return ['--input-type=module', '--eval', program];
}

/** The texts of the lines that it logs until it ends. */
async function logged(script: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, argumentsOf(script)).catch((ended) => ended);
  return String(stdout)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).msg);
}

it.each([
  ['is closed', 'await log.close();'],
  ['exits at once', 'process.exit(3);'],
  ['has nothing to do any more', ''],
  ['fails', "throw new Error('unforeseen');"],
])('writes what it has gathered when the process %s', async (_, end) => {
  expect(await logged(`log.logger.info('first'); log.logger.info('last'); ${end}`)).toEqual([
    'first',
    'last',
  ]);
});

it('writes what is logged after it was closed when the process exits', async () => {
  const script = "await log.close(); log.logger.error('why it stops'); process.exit(1);";
  expect(await logged(script)).toEqual(['why it stops']);
});

it('writes the lines up to a fatal one at once, whatever keeps the threads that write files', async () => {
  const script = `
    import { pbkdf2 } from 'node:crypto';
    for (let job = 0; job < 16; job++) pbkdf2('', '', 1e6, 32, 'sha512', () => {});
    log.logger.info('first'); log.logger.fatal('last'); process.kill(process.pid, 'SIGKILL');`;
  expect(await logged(script)).toEqual(['first', 'last']);
});

it('writes line by line in their order, however many come at once', async () => {
  const many = Array.from({ length: 5000 }, (_, index) => `line ${index}`);
  const script =
    "for (let line = 0; line < 5000; line++) log.logger.info('line ' + line); await log.close();";
  expect(await logged(script)).toEqual(many);
});

it('writes a line that no other follows', async () => {
  const script = "setInterval(() => {}, 1000); log.logger.info('alone');";
  const running = spawn(process.execPath, argumentsOf(script));
  onTestFinished(() => void running.kill('SIGKILL'));
  const [chunk] = await once(running.stdout, 'data');
  expect(String(chunk)).toContain('"msg":"alone"');
});
