import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';

const source = join(import.meta.dirname, '../../src');

/** The folders that files of a folder may import from, beside their own. `docs/architecture.md` shows the same. */
const allowed: Record<string, readonly string[]> = {
  domain: [],
  eventstore: [],
  application: ['domain', 'eventstore'],
  projections: ['domain', 'eventstore'],
  subscriptions: ['application', 'projections', 'domain', 'eventstore'],
  api: ['subscriptions', 'application', 'projections', 'domain'],
  audit: ['application', 'projections', 'domain', 'eventstore'],
  // The composition root: the files that stand in src itself.
  '.': ['api', 'audit', 'subscriptions', 'application', 'projections', 'domain', 'eventstore'],
  cli: ['.', 'api', 'audit', 'subscriptions', 'application', 'projections', 'domain', 'eventstore'],
};

/** Packages that only the named places may import. */
const confined: Record<string, readonly string[]> = {
  'node:sqlite': ['eventstore/sqlite/', 'projections/'],
  '@eventstore/db-client': ['eventstore/eventstoredb/'],
  '@grpc/grpc-js': ['eventstore/eventstoredb/'],
  fastify: ['api/', 'service.ts'],
  '@node-rs/bcrypt': ['application/secret-hasher.ts', 'application/secret-hashes.ts'],
  '@node-rs/argon2': ['application/secret-hashes.ts'],
  '@zxcvbn-ts/core': ['application/secret-strength.ts'],
  '@commander-js/extra-typings': ['cli/'],
  '@connectrpc': ['api/'],
  undici: ['subscriptions/webhooks/webhook-sender.ts'],
  'ipaddr.js': [
    'subscriptions/webhooks/target-policy.ts',
    'application/attempt-limits.ts',
    'cli/settings.ts',
  ],
  '#generated': ['api/'],
};

/** What the domain may import from outside the project: pure libraries. */
const allowedInDomain = ['zod', 'node:zlib'];

const files = globSync('**/*.ts', { cwd: source }).map((file) => file.split(sep).join('/'));

/** The module names in a file's imports and re-exports, of types too. */
function importsOf(file: string): string[] {
  const { module, errors } = parseSync(file, readFileSync(join(source, file), 'utf8'));
  expect(errors).toEqual([]);
  const reexports = module.staticExports.flatMap(({ entries }) =>
    entries.map((entry) => entry.moduleRequest),
  );
  return [...module.staticImports.map((one) => one.moduleRequest), ...reexports].flatMap(
    (one) => one?.value ?? [],
  );
}

const folderOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.');

const dependencies = files.flatMap((file) => importsOf(file).map((imported) => ({ file, imported })));
const own = dependencies
  .filter(({ imported }) => imported.startsWith('.'))
  .map(({ file, imported }) => ({ file, target: relative('.', join(dirname(file), imported)) }));
const foreign = dependencies.filter(({ imported }) => !imported.startsWith('.'));

test('the files and their imports are found', () => {
  expect(new Set(files.map(folderOf))).toEqual(new Set(Object.keys(allowed)));
  expect(own).toContainEqual({ file: 'api/server.ts', target: 'domain/errors.ts' });
  expect(own).toContainEqual({ file: 'application/user-names.ts', target: 'application/command-handler.ts' });
  expect(foreign).toContainEqual({ file: 'api/server.ts', imported: 'fastify' });
});

test('dependencies between the folders point inwards', () => {
  const outward = own.filter(({ file, target }) => {
    const [from, to] = [folderOf(file), folderOf(target)];
    return from !== to && !allowed[from]?.includes(to);
  });
  expect(outward).toEqual([]);
});

test('a package with a place of its own is imported there only', () => {
  const astray = foreign.filter(({ file, imported }) =>
    Object.entries(confined).some(
      ([name, places]) =>
        (imported === name || imported.startsWith(`${name}/`)) &&
        !places.some((place) => file.startsWith(place)),
    ),
  );
  expect(astray).toEqual([]);
});

test('the domain is pure: no I/O, no framework', () => {
  const impure = foreign.filter(
    ({ file, imported }) => folderOf(file) === 'domain' && !allowedInDomain.includes(imported),
  );
  expect(impure).toEqual([]);
});

test('the domain reads no clock and draws no random number', () => {
  const impure = files
    .filter((file) => folderOf(file) === 'domain')
    .filter((file) =>
      /\bnew Date\(\)|\bDate\.now|Math\.random|performance\.|process\./.test(
        readFileSync(join(source, file), 'utf8'),
      ),
    );
  expect(impure).toEqual([]);
});
