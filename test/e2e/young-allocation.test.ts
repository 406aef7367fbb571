import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { serveKeyturn } from '../support/keyturn-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const main = join(import.meta.dirname, '../../src/cli/main.js');

/** At its end, the program makes in one place what lives on: V8 learns that, unless it is told not to. */
const makesWhatLives = `
  process.once('exit', () => {
    const kept = [];
    const make = (value) => [value];
    require('node:fs').writeSync(1, 'at its end');
    for (let value = 0; value < 400_000; value++) kept.push(make(value));
    require('node:fs').writeSync(1, String(kept.length));
  });
`;

/** For a program that tells what V8 has learned of places: "undecided => tenure" is that of one whose objects will not be young. */
function options(): string[] {
  const hook = join(temporaryFolder(), 'hook.cjs');
  writeFileSync(hook, makesWhatLives);
  // Places are looked at when the young generation is as large as it may become.
  return ['--max-semi-space-size=1', '--trace-pretenuring-statistics', '--require', hook];
}

const learnedAtEnd = (output: string) => output.slice(output.indexOf('at its end'));

test('V8 learns of places whose objects will not be young where nobody has told it not to', () => {
  const output = execFileSync(process.execPath, [...options(), '--eval', ''], { encoding: 'utf8' });
  expect(learnedAtEnd(output)).toContain('undecided => tenure');
});

test('in a service it does not', async () => {
  const keyturn = spawn(process.execPath, [...options(), main, 'serve', '--port', '0'], {
    cwd: temporaryFolder(),
  });
  onTestFinished(() => void keyturn.kill('SIGKILL'));
  keyturn.stderr.on('data', async (chunk: Buffer) => {
    const url = /Keyturn is ready at (http\S+)/.exec(String(chunk))?.[1];
    if (url === undefined) return;
    // One that answers has learned by then what to do at its end.
    await fetch(`${url}/debug/ready`);
    keyturn.kill('SIGTERM');
  });
  const [output] = await Promise.all([text(keyturn.stdout), once(keyturn, 'exit')]);
  expect(learnedAtEnd(output)).toContain('400000');
  expect(learnedAtEnd(output)).not.toContain('=> tenure');
});

test('nor in a command that reads a log', async () => {
  const cwd = temporaryFolder();
  const running = await serveKeyturn(cwd);
  running.process.kill('SIGTERM');
  await running.ended;
  const output = execFileSync(process.execPath, [...options(), main, 'verify'], { cwd, encoding: 'utf8' });
  expect(output).toContain('intact');
  expect(learnedAtEnd(output)).toContain('400000');
  expect(learnedAtEnd(output)).not.toContain('=> tenure');
});
