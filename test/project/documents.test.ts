import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { oauthErrorStatus } from '../../src/api/oauth/oauth-error.ts';
import { serveOptions } from '../../src/cli/settings.ts';
import { type ErrorCode, errorTable, KeyturnError } from '../../src/domain/errors.ts';
import { eventCatalogue } from '../../src/domain/event-catalogue.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const settings = Object.values(serveOptions).map((option) => option.envVar ?? '');
/** The cells of the lines of tables whose first cell is code. */
const codeRows = (page: string) =>
  page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
/** What tests read from the environment. */
const testVariables = globSync('test/support/**/*.ts', { cwd: root }).flatMap((file) =>
  [...read(file).matchAll(/process\.env\['(KEYTURN_TEST_[A-Z_]+)'\]/g)].map(([, name = '']) => name),
);
const pages = globSync('{*.md,docs/**/*.md}', { cwd: root });

test('docs/errors.md shows the table of errors as it is', () => {
  const [managementApi = ''] = read('docs/errors.md').split('## The OAuth endpoints');
  const actual = (Object.keys(errorTable) as ErrorCode[]).map((code) => {
    const { httpStatus, grpcCode, id, text } = new KeyturnError(code);
    return [`\`${code}\``, String(httpStatus), grpcCode, id === undefined ? '' : `\`${id}\``, text];
  });
  expect(codeRows(managementApi)).toEqual(actual);
});

test('docs/errors.md shows every error of the OAuth endpoints', () => {
  const [, oauth = ''] = read('docs/errors.md').split('## The OAuth endpoints');
  const documented = codeRows(oauth).map(([code, status]) => [code, status]);
  const actual = Object.entries(oauthErrorStatus).map(([code, status]) => [`\`${code}\``, String(status)]);
  expect(documented.toSorted()).toEqual(actual.toSorted());
});

test('no two errors share an id', () => {
  const ids = Object.values(errorTable).flatMap((error) => ('id' in error ? error.id : []));
  expect(new Set(ids).size).toBe(ids.length);
});

describe('docs/events.md', () => {
  const sections = read('docs/events.md').split('\n### ').slice(1);

  it('describes every event type, in its version of today', () => {
    const headings = sections.map((section) => section.split('\n')[0]);
    const actual = Object.entries(eventCatalogue).map(
      ([type, { version }]) => `${type} (version ${version})`,
    );
    expect(headings.toSorted()).toEqual(actual.toSorted());
  });

  it('describes every field of every event', () => {
    for (const section of sections) {
      const type = section.slice(0, section.indexOf(' ')) as keyof typeof eventCatalogue;
      const { properties = {}, required = [] } = z.toJSONSchema(eventCatalogue[type].data);
      const documented = codeRows(section).map(([name = '', kind = '']) => [
        name.replaceAll('`', ''),
        kind.includes('optional'),
      ]);
      expect([type, documented]).toEqual([
        type,
        Object.keys(properties).map((name) => [name, !required.includes(name)]),
      ]);
    }
  });
});

describe('settings', () => {
  it('are all in the README', () => {
    for (const name of settings) expect(read('README.md')).toContain(`\`${name}\``);
  });

  it('that a page names exist', () => {
    const named = pages.flatMap((page) => read(page).match(/KEYTURN_[A-Z_]+/g) ?? []);
    expect(new Set(named).difference(new Set([...settings, ...testVariables]))).toEqual(new Set());
  });
});

test('every test that docs/security.md names is there', () => {
  const named = [...read('docs/security.md').matchAll(/\]\(\.\.\/(test\/[^)]+)\) _(.+?)_ +\|/g)];
  expect(named.length).toBeGreaterThan(20);
  const missing = named.filter(([, file = '', title = '']) => !read(file).includes(title));
  expect(missing.map(([line]) => line)).toEqual([]);
});

describe('docker-compose.yml', () => {
  const compose = read('docker-compose.yml');

  it('names the image that tests start', () => {
    const [, image] = /image: (docker\.kurrent\.io\S+)/.exec(compose) ?? [];
    expect(read('test/support/eventstoredb/servers.ts')).toContain(`'${image}'`);
  });

  it('publishes ports on this machine only', () => {
    const published = [...compose.matchAll(/ports: \["([^"]+)"\]/g)].map(([, port]) => port);
    expect(published.length).toBeGreaterThan(0);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('and the Dockerfile name settings that exist', () => {
    const named = `${compose}${read('Dockerfile')}`.match(/KEYTURN_[A-Z_]+/g) ?? [];
    expect(new Set(named).difference(new Set(settings))).toEqual(new Set());
  });
});

test('every link between the pages leads to a file', () => {
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)[^)]*\)/g)]
      .map(([, target = '']) => join(page, '..', target))
      .filter((target) => globSync(target, { cwd: root }).length === 0)
      .map((target) => `${page} → ${target}`),
  );
  expect(broken).toEqual([]);
});
