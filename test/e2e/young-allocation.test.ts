import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** At its end, the program makes in one place what lives on: V8 learns that, unless it is told not to. */
const makesWhatLives = `
  process.once('exit', () => {
    const kept = [];
    const make = (value) => [value];
    for (let value = 0; value < 400_000; value++) kept.push(make(value));
    require('node:fs').writeSync(1, String(kept.length));
  });
`;

/** What the program prints, with what V8 has learned of places: "undecided => tenure" is that of one whose objects will not be young. */
function learnedBy(...program: readonly string[]): string {
  const hook = join(temporaryFolder(), 'hook.cjs');
  writeFileSync(hook, makesWhatLives);
  // Places are looked at when the young generation is as large as it may become.
  const options = ['--max-semi-space-size=1', '--trace-pretenuring-statistics', '--require', hook];
  return execFileSync(process.execPath, [...options, ...program], { encoding: 'utf8' });
}

test('V8 learns in no program of Keyturn to allocate objects that are not young', () => {
  expect(learnedBy('--eval', '')).toContain('undecided => tenure');
  const learned = learnedBy(join(import.meta.dirname, '../../src/cli/main.js'), '--version');
  expect(learned).toContain('400000');
  expect(learned).not.toContain('=> tenure');
});
