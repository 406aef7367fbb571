import { availableParallelism } from 'node:os';
import { comparisonOf, type Run, type Spread, spreadOf, takeTurns } from './harness/comparison.ts';
import { formRequest, grantOf, grantRequests, startKeyturn } from './harness/keyturn.ts';
import { type ClosedLoad, load } from './harness/load.ts';
import { type Server, startServer } from './harness/processes.ts';
import { connections } from './harness/section.ts';

/**
 * Client credentials grants a second of Keyturn (secrets as bcrypt hashes, JWT or opaque tokens), of `oidc-provider` (clear
 * secrets, in memory, JWTs) and of a bare Fastify route that signs the same JWT and knows nobody, with the distribution of
 * latencies: the row of `npm run bench` at length. Servers and load are processes of their own. Runs take turns, so that a
 * noisy machine is noisy for all; ratios are taken within each round, by the clock and for each second of CPU time that the
 * server took.
 *
 *     node bench/grants.ts [rounds] [seconds of each run] [clients]
 */
const [rounds = 5, seconds = 4, robots = 10_000] = process.argv.slice(2).map(Number);

const started: Pick<Server, 'stop'>[] = [];
const start = async <One extends Server>(starting: Promise<One>): Promise<One> => {
  const one = await starting;
  started.push(one);
  return one;
};
try {
  const seed = { users: robots, known: robots, eventsEach: 2 } as const;
  const keyturn = await start(
    startKeyturn({
      seeds: [
        { ...seed, name: 'jwt', accessTokenType: 'jwt' },
        { ...seed, name: 'opaque', accessTokenType: 'bearer' },
      ],
    }),
  );
  const bare = await start(startServer('references/bare-fastify-server.ts', [], /^(http\S+)$/m));
  const peer = await start(
    startServer('references/oidc-provider-server.ts', [String(robots)], /^(http\S+)$/m),
  );
  const elsewhere = Array.from({ length: robots }, (_, index) =>
    formRequest(
      '/token',
      grantOf({ clientId: `robot-${index}`, clientSecret: `secret-of-robot-${index}` }, 'profile'),
    ),
  );
  const grants = (server: Server, requests: ClosedLoad['requests']) => () =>
    load(server, 'closed-load', { connections, requests, until: { seconds } });
  // A secret's first use pays for bcrypt.
  for (const clients of Object.values(keyturn.clients)) {
    const requests = grantRequests(clients);
    await load(keyturn, 'closed-load', { connections, requests, until: { amount: clients.length } });
  }
  const runs = await takeTurns(
    {
      'Keyturn, JWT': grants(keyturn, grantRequests(keyturn.clients['jwt'] ?? [])),
      'Keyturn, opaque': grants(keyturn, grantRequests(keyturn.clients['opaque'] ?? [])),
      'bare Fastify, JWT': grants(bare, elsewhere),
      'oidc-provider, JWT': grants(peer, elsewhere),
    },
    { rounds, warmUpRounds: 1 },
  );
  print(
    `Node ${process.version}, ${availableParallelism()} cores, ${connections} connections, ${robots} clients,`,
  );
  print(`${rounds} rounds of ${seconds} s each; median (least to most)\n`);
  for (const [name, own] of Object.entries(runs)) printRuns(name, own, runs['oidc-provider, JWT']);
} finally {
  await Promise.all(started.map((one) => one.stop()));
}
// The process of the load waits for more.
process.exit();

function printRuns(name: string, own: readonly Run[], reference: readonly Run[]): void {
  const {
    keyturn: rate,
    ratio,
    ratioByCpuTime,
    loadShare = Number.NaN,
    latency,
  } = comparisonOf(own, reference);
  const perCpuSecond = own.map(({ cpuTimeEach = Number.NaN }) => 1 / cpuTimeEach);
  const share = spreadOf(own.map((run, round) => run.rate / (perCpuSecond[round] ?? Number.NaN))).median;
  const latencies = Object.entries(latency?.keyturn ?? {}).map(
    ([quantile, milliseconds]) => `${quantile.replace('_', '.')} ${milliseconds.toFixed(1)}`,
  );
  const margin = ''.padEnd(18);
  print(`${name.padEnd(18)} ${shown(rate, 0)} grants/s, ${shown(ratio, 2)} of oidc-provider`);
  print(
    `${margin} ${shown(spreadOf(perCpuSecond), 0)} grants a second of CPU, ${ratioByCpuTime ? shown(ratioByCpuTime, 2) : ''} of it`,
  );
  print(`${margin} cores: server ${share.toFixed(2)}, load up to ${loadShare.toFixed(2)}`);
  print(`${margin} latency in ms: ${latencies.join(', ')}`);
}

/** Median, and in brackets the least and the most. */
function shown({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
