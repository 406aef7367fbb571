import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { backUpPersonalKeys } from '../../src/eventstore/sqlite/backup.ts';
import {
  mergePersonalKeys,
  openSqlitePersonalKeys,
} from '../../src/eventstore/sqlite/sqlite-personal-keys.ts';
import { describeStoredPersonalKeysContract } from '../contract/personal-keys.contract.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const wrappingKey = new Uint8Array(32).fill(1);
const erasedAt = '2026-01-02T03:04:05.678Z';

function openIn(
  folder: string,
  { wrappingKeys = [wrappingKey] as readonly Uint8Array[], readOnly = false } = {},
) {
  const keys = openSqlitePersonalKeys({ file: join(folder, 'personal-keys.db'), wrappingKeys, readOnly });
  onTestFinished(() => keys.close());
  return keys;
}

describeStoredPersonalKeysContract('SQLite', async () => {
  const folder = temporaryFolder();
  return (wrappingKeys) => openIn(folder, { wrappingKeys });
});

describe('personal keys in a file', () => {
  it('are read beside the process that writes, as it writes them', async () => {
    const folder = temporaryFolder();
    const keys = openIn(folder);
    const key = await keys.create('338');
    const reader = openIn(folder, { readOnly: true });
    expect(await reader.keyOf('338')).toEqual(key);
    await keys.destroy('338', erasedAt);
    expect(await reader.keyOf('338')).toEqual({ erasedAt });
  });

  it('are readable by their owner only, and not in the clear', async () => {
    const folder = temporaryFolder();
    const { key } = (await openIn(folder).create('338')) as { key: Uint8Array };
    for (const file of readdirSync(folder)) {
      expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
      expect(readFileSync(join(folder, file)).includes(key)).toBe(false);
    }
  });

  it('come back from a backup, but for those that were destroyed since', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'personal-keys.db');
    const backup = join(temporaryFolder(), 'backup');
    const keys = openIn(folder);
    const key = await keys.create('338');
    await keys.create('339');
    await backUpPersonalKeys(file, backup);
    await keys.destroy('339', erasedAt);
    const later = await keys.create('340');
    keys.close();
    mergePersonalKeys(file, backup, 'backup');
    const merged = openIn(folder);
    expect(await Promise.all(['338', '339', '340'].map((id) => merged.keyOf(id)))).toEqual([
      key,
      { erasedAt },
      later,
    ]);
    const elsewhere = temporaryFolder();
    mergePersonalKeys(join(elsewhere, 'personal-keys.db'), backup, 'backup');
    expect(await openIn(elsewhere).keyOf('338')).toEqual(key);
  });

  it('of two files that both have one are those of the file that wins, and none is lost', async () => {
    const [folder, foreign] = [temporaryFolder(), temporaryFolder()];
    const own = openIn(folder);
    const key = await own.create('338');
    own.close();
    const others = openIn(foreign);
    await others.create('338');
    const added = await others.create('339');
    others.close();
    const foreignFile = join(foreign, 'personal-keys.db');
    mergePersonalKeys(join(folder, 'personal-keys.db'), foreignFile, 'file');
    const merged = openIn(folder);
    expect([await merged.keyOf('338'), await merged.keyOf('339')]).toEqual([key, added]);
  });

  it('leave no byte of a destroyed key in any file, whatever was done before', async () => {
    const ids = fc.uniqueArray(fc.string({ maxLength: 60 }), { minLength: 1, maxLength: 400 });
    const run = fc.asyncProperty(ids, fc.infiniteStream(fc.nat(3)), async (userIds, choices) => {
      const folder = temporaryFolder();
      const keys = openIn(folder);
      for (const userId of userIds) await keys.create(userId);
      const wrapped = wrappedKeysIn(folder);
      const destroyed = userIds.filter(() => choices.next().value === 0);
      for (const userId of destroyed) await keys.destroy(userId, erasedAt);
      const bytes = readdirSync(folder).map((file) => readFileSync(join(folder, file)));
      const left = destroyed.filter((userId) =>
        bytes.some((content) => content.includes(wrapped.get(userId) as Uint8Array)),
      );
      expect(left).toEqual([]);
      keys.close();
    });
    await fc.assert(run, { numRuns: 10 });
  });
});

function wrappedKeysIn(folder: string): Map<string, Uint8Array> {
  const db = new DatabaseSync(join(folder, 'personal-keys.db'), { readOnly: true });
  const rows = db.prepare('SELECT user_id, wrapped FROM personal_keys').all();
  db.close();
  return new Map(rows.map((row) => [row['user_id'] as string, row['wrapped'] as Uint8Array]));
}
