import { exec } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');

/** Every file below the folder, with its content. */
function contentOf(folder: string): Record<string, string> {
  const files = globSync('**/*.{js,ts}', { cwd: folder }).toSorted();
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

test('the code in generated/ is that of the definitions in proto/, and of ZITADEL', async () => {
  const folder = temporaryFolder();
  const binaries = join(root, 'node_modules/.bin');
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  await promisify(exec)(`${scripts.generate} --output ${folder}`, {
    cwd: root,
    env: { ...process.env, PATH: `${binaries}:${process.env['PATH']}` },
  });
  expect(contentOf(join(root, 'generated'))).toEqual(contentOf(join(folder, 'generated')));
});
