import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { newSecretId, newSecretRandom } from '../../src/application/random-ids.ts';
import { scanForSecrets } from '../../src/audit/secret-scan.ts';
import { composeSecret, findSecrets } from '../../src/domain/machine-secret.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const secret = () => composeSecret(newSecretId(), newSecretRandom());
const idOf = (text: string) => text.slice(4, 20);
const scan = (path: string) => Array.fromAsync(scanForSecrets(path));

it('finds secrets in files, also in ones that are no text, and nothing that only looks like one', async () => {
  const folder = temporaryFolder();
  const [one, two] = [secret(), secret()];
  mkdirSync(join(folder, 'deep'));
  writeFileSync(join(folder, '.env'), `A=1\r\nSECRET="${one}"\r\n`);
  writeFileSync(join(folder, 'deep/binary'), Buffer.concat([Buffer.from([0, 255, 10]), Buffer.from(two)]));
  writeFileSync(join(folder, 'example'), `kts_${'a'.repeat(60)} ${one}x x${one} ${one.slice(0, -1)}`);
  symlinkSync(folder, join(folder, 'deep/loop'));
  const found = await scan(folder);
  expect(found.toSorted((a, b) => (a.file < b.file ? -1 : 1))).toEqual([
    { secretId: idOf(one), file: join(folder, '.env'), line: 2 },
    { secretId: idOf(two), file: join(folder, 'deep/binary'), line: 2 },
  ]);
  expect(await scan(join(folder, '.env'))).toHaveLength(1);
  expect(JSON.stringify(found)).not.toContain(one);
});

it('finds secrets that a commit added and another took away', async () => {
  const folder = temporaryFolder();
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      encoding: 'utf8',
    }).trim();
  const leaked = secret();
  git('init', '-q');
  writeFileSync(join(folder, 'config'), `first\nsecret: ${leaked}\n`);
  git('add', '.');
  git('commit', '-qm', 'one');
  const commit = git('rev-parse', 'HEAD');
  writeFileSync(join(folder, 'config'), 'first\n');
  git('commit', '-qam', 'two');
  expect(await scan(folder)).toEqual([{ secretId: idOf(leaked), file: 'config', line: 2, commit }]);
});

it('says so when there is nothing at the path', async () => {
  await expect(scan('/nowhere/at/all')).rejects.toThrow('/nowhere/at/all cannot be read');
});

test('a secret is found in any text, and one with a changed character is not', () => {
  const anyBorder = fc.string().filter((text) => !/^[0-9A-Za-z]|[0-9A-Za-z]$|kts_/.test(text));
  fc.assert(
    fc.property(anyBorder, anyBorder, fc.nat(63), (before, after, place) => {
      const one = secret();
      expect(findSecrets(before + one + after)).toEqual([{ secretId: idOf(one), index: before.length }]);
      const changed = one[place] === 'x' ? 'y' : 'x';
      const broken = one.slice(0, place) + changed + one.slice(place + 1);
      expect(findSecrets(before + broken + after)).toEqual([]);
    }),
  );
});
