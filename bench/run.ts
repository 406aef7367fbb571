import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Comparison, compare, type Run, type Spread } from './harness/comparison.ts';
import { formRequest, type Keyturn, startKeyturn } from './harness/keyturn.ts';
import { load, runScript, type Server, startServer } from './harness/processes.ts';
import { type ComparedRow, notMeasured, tableOf } from './harness/table.ts';

/**
 * Keyturn beside what a user would pick instead: one table. Servers and load are processes of their own.
 *
 *     npm run bench
 *     npm run bench -- --quick   # short rounds: whether all works, and a first idea
 *     npm run bench -- --only appends
 */
const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});
const scale = values.quick
  ? { rounds: 3, seconds: 1, users: 200, events: 20_000 }
  : { rounds: 5, seconds: 4, users: 10_000, events: 1_000_000 };
const connections = 64;
const appendsInFlight = [1, 8, 32, 128];
const results = join(import.meta.dirname, 'results');

const rows: ComparedRow[] = [];
const begin = new Date();
await setSecrets(10, 0.95);
const keyturn = await startKeyturn({ users: scale.users, bcryptCost: 4 });
try {
  // Grants first: setting a secret again would void those that the grants use.
  await grants(keyturn);
  await introspections(keyturn);
  await setSecretsOf(keyturn, 4, 0.75);
} finally {
  await keyturn.stop();
}
for (const inFlight of appendsInFlight) await appends(inFlight);
await replay();

const machine = `Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'})`;
const minutes = ((Date.now() - begin.getTime()) / 60_000).toFixed(1);
const load1 = loadavg()[0]?.toFixed(1);
print(`${begin.toISOString()}, ${machine}`);
print(
  `${scale.rounds} rounds of ${scale.seconds} s each after one to warm up, ${scale.users} users, ${minutes} minutes in all`,
);
print(`load average at the end ${load1}: much above the number of cores, others worked here too\n`);
print(tableOf(rows));
mkdirSync(results, { recursive: true });
const file = join(results, `${begin.toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, JSON.stringify({ date: begin, machine, load1, scale, rows, notMeasured }, null, 2));
print(`\n${file}`);

async function setSecrets(bcryptCost: number, budget: number): Promise<void> {
  const server = await startKeyturn({ users: connections, bcryptCost });
  try {
    await setSecretsOf(server, bcryptCost, budget);
  } finally {
    await server.stop();
  }
}

async function setSecretsOf({ url, setSecrets }: Keyturn, bcryptCost: number, budget: number): Promise<void> {
  await row({
    what: `PUT secret, REST, bcrypt cost ${bcryptCost}, durable, ${connections} in flight`,
    reference: 'bare bcrypt on all cores',
    unit: '/s',
    budget,
    keyturn: loadOf(url, setSecrets),
    peer: () => runScript<Run>('references/bare-bcrypt.ts', [bcryptCost, scale.seconds]),
  });
}

async function grants({ url, grants: requests }: Keyturn): Promise<void> {
  const clients = Array.from({ length: scale.users }, (_, index) =>
    formRequest('/token', {
      grant_type: 'client_credentials',
      client_id: `robot-${index}`,
      client_secret: `secret-of-robot-${index}`,
      scope: 'profile',
    }),
  );
  // A secret's first use pays for bcrypt, which has its own row.
  await load({ url, connections, seconds: Math.max(2, scale.users / 1000), requests });
  const oidcProvider = await startServer(
    'references/oidc-provider-server.ts',
    [String(scale.users)],
    /^(http\S+)$/,
  );
  await beside(oidcProvider, {
    what: `client credentials grant, JWT ES256, ${scale.users} users`,
    reference: 'oidc-provider, clear secrets in memory',
    budget: 3,
    keyturn: loadOf(url, requests),
    peerRequests: clients,
  });
  await beside(await startBareFastify(), {
    what: 'the same',
    reference: 'bare Fastify route that signs the same JWT',
    budget: 0.6,
    keyturn: loadOf(url, requests),
    peerRequests: clients,
  });
}

async function introspections(server: Keyturn): Promise<void> {
  const bare = await startBareFastify();
  const response = await fetch(`${bare.url}/token`, { method: 'POST' });
  const { access_token: token } = (await response.json()) as { access_token: string };
  await beside(bare, {
    what: 'introspection of a JWT',
    reference: 'bare Fastify route that verifies a JWT',
    budget: 0.6,
    keyturn: loadOf(server.url, await server.introspections()),
    peerRequests: [formRequest('/introspect', { token })],
  });
}

async function appends(inFlight: number): Promise<void> {
  const of = (contender: string) => () =>
    runScript<Run>('references/appends.ts', [contender, inFlight, scale.seconds]);
  await row({
    what: `durable appends, ${inFlight} in flight`,
    reference: `bare SQLite, ${inFlight} a commit`,
    unit: '/s',
    budget: 0.5,
    keyturn: of('keyturn'),
    peer: of('sqlite'),
  });
}

async function replay(): Promise<void> {
  const what = `replay into a read model, ${scale.events} events`;
  if (!isWanted(what)) return;
  const rates = await runScript<Record<'scan' | 'replay', Spread>>('audit.ts', [
    ...['--events', scale.events],
    ...['--rounds', values.quick ? 1 : 2],
    '--json',
  ]);
  const ratio = rates.replay.median / rates.scan.median;
  rows.push({
    what,
    reference: 'scan of the log by the event store',
    unit: '/s',
    budget: 0.55,
    keyturn: rates.replay,
    peer: rates.scan,
    ratio: { median: ratio, least: ratio, most: ratio },
    loadShare: undefined,
  });
}

interface Beside {
  readonly what: string;
  readonly reference: string;
  readonly budget: number;
  readonly keyturn: () => Promise<Run>;
  readonly peerRequests: Parameters<typeof load>[0]['requests'];
}

/** Measures beside a server, and stops it. */
async function beside(peer: Server, { peerRequests, ...compared }: Beside): Promise<void> {
  try {
    await row({ ...compared, unit: '/s', peer: loadOf(peer.url, peerRequests) });
  } finally {
    await peer.stop();
  }
}

interface RowToMeasure extends Pick<ComparedRow, 'what' | 'reference' | 'unit' | 'budget'> {
  readonly keyturn: () => Promise<Run>;
  readonly peer: () => Promise<Run>;
}

async function row({ keyturn, peer, ...about }: RowToMeasure): Promise<void> {
  if (!isWanted(about.what)) return;
  const { reference, ...compared }: Comparison = await compare(keyturn, peer, scale.rounds);
  rows.push({ ...about, ...compared, peer: reference });
}

function isWanted(what: string): boolean {
  return what.includes(values.only);
}

function loadOf(url: string, requests: Parameters<typeof load>[0]['requests']): () => Promise<Run> {
  return () => load({ url, connections, seconds: scale.seconds, requests });
}

function startBareFastify(): Promise<Server> {
  return startServer('references/bare-fastify-server.ts', [], /^(http\S+)$/);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
