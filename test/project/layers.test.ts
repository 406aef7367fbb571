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

const files = globSync('**/*.{js,ts}', { cwd: source }).map((file) => file.split(sep).join('/'));

/** The module names in a file's imports and re-exports, of types too, and in those that are made when they are needed. */
function importsOf(file: string): { imported: string; isLoadedAtOnce: boolean }[] {
  const text = readFileSync(join(source, file), 'utf8');
  const { module, errors } = parseSync(file, text);
  expect(errors).toEqual([]);
  const imports = module.staticImports.map(({ moduleRequest, entries }) => ({
    imported: moduleRequest.value,
    isLoadedAtOnce: entries.length === 0 || entries.some((entry) => !entry.isType),
  }));
  const reexports = module.staticExports
    .flatMap(({ entries }) => entries.map((entry) => entry.moduleRequest?.value ?? []))
    .flat()
    .map((imported) => ({ imported, isLoadedAtOnce: true }));
  const dynamic = module.dynamicImports.map(({ moduleRequest: { start, end } }) => ({
    imported: text.slice(start + 1, end - 1),
    isLoadedAtOnce: false,
  }));
  return [...imports, ...reexports, ...dynamic];
}

const folderOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.');

const dependencies = files.flatMap((file) => importsOf(file).map((one) => ({ file, ...one })));
const own = dependencies
  .filter(({ imported }) => imported.startsWith('.'))
  .map(({ imported, ...one }) => ({ ...one, target: relative('.', join(dirname(one.file), imported)) }));
const foreign = dependencies.filter(({ imported }) => !imported.startsWith('.'));

test('the files and their imports are found', () => {
  expect(new Set(files.map(folderOf))).toEqual(new Set(Object.keys(allowed)));
  expect(own).toContainEqual({ file: 'api/server.ts', target: 'domain/errors.ts', isLoadedAtOnce: true });
  expect(own).toContainEqual({
    file: 'application/user-names.ts',
    target: 'application/command-handler.ts',
    isLoadedAtOnce: false,
  });
  expect(own).toContainEqual({ file: 'cli/program.ts', target: 'cli/serve.ts', isLoadedAtOnce: false });
  expect(foreign).toContainEqual({ file: 'api/server.ts', imported: 'fastify', isLoadedAtOnce: true });
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

/** The packages that a process has loaded once it has loaded `file`. */
function packagesLoadedWith(file: string): string[] {
  const loaded = new Set([file]);
  // What is added meanwhile is visited too.
  for (const file of loaded) {
    for (const one of own) if (one.file === file && one.isLoadedAtOnce) loaded.add(one.target);
  }
  return foreign
    .filter(({ file, isLoadedAtOnce }) => loaded.has(file) && isLoadedAtOnce)
    .map(({ imported }) => imported);
}

test('the command line loads no server, no client and nothing that draws tables before a command needs it', () => {
  const packages = packagesLoadedWith('cli/program.ts');
  // That of its settings: files that it imports are looked at too.
  expect(packages).toContain('ipaddr.js');
  const heavy = /fastify|@grpc|@eventstore|@connectrpc|undici|echarts|csv|cli-/;
  expect(packages.filter((name) => heavy.test(name))).toEqual([]);
});

test('a start of the service loads nothing that few of its callers need', () => {
  const packages = packagesLoadedWith('cli/serve.ts');
  expect(packages).toEqual(expect.arrayContaining(['fastify', '#generated/zitadel/management_pb.js']));
  const heavy = /swagger|cli-progress|@connectrpc|^@zitadel\/proto\/zitadel/;
  expect(packages.filter((name) => heavy.test(name))).toEqual([]);
});
