import type { Measurement } from '../harness/comparison.ts';
import { grantRequests, type Keyturn, setSecretRequests, startKeyturn } from '../harness/keyturn.ts';
import { type HttpRequest, load } from '../harness/load.ts';
import { residentMemoryOf } from '../harness/processes.ts';
import { comparedRow, limitedRow, type Row } from '../harness/row.ts';
import { count, inTurns, type Scale, type Section } from '../harness/section.ts';
import type { Client, Seed } from '../harness/seed.ts';

const usersInUse = 1000;
/** Streams of 10,000 events are many events: few users have one, and so few requests are under way. */
const usersWithLongStreams = 32;
const inFlight = usersWithLongStreams;
/** The hashes of a log that was written by the benchmark would be read for the first checkpoint meanwhile. */
const settings = ['--checkpoint-interval', '0'];
const sizes = ['small', 'medium', 'large'] as const;
type Size = (typeof sizes)[number];

/** The same users are asked for, among more and more others. Also how much memory a million of them takes, and how long a start. */
export const growthWithUsers: Section = {
  name: 'growth with users, memory, start',
  async measure(scale) {
    const started: Keyturn[] = [];
    const start = async (users: number): Promise<Keyturn> => {
      const keyturn = await startKeyturn({ seeds: [seedOf('robot', users, usersInUse, 2)], settings });
      started.push(keyturn);
      return keyturn;
    };
    try {
      const [small, medium, large] = scale.users;
      const servers = { small: await start(small), medium: await start(medium), large: await start(large) };
      const memory: number[] = [];
      const rows = await growthRows(scale, {
        sizes: { small, medium, large },
        of: (size) => `${count(size)} users`,
        line: 'machine users',
        serverOf: (size) => servers[size],
        clientsOf: (size) => servers[size].clients['robot'] ?? [],
        afterEach: async () => void memory.push(await residentMemoryOf(servers.large.pid)),
      });
      const events = large * 2;
      return [
        ...rows,
        limitedRow(`memory under load, ${count(large)} users`, ' MB', [Math.max(...memory)], 300),
        await startRow(scale, servers.large, `start, ${count(events)} events, warm read model`),
      ];
    } finally {
      for (const keyturn of started) await keyturn.stop();
    }
  },
};

export const growthWithStreams: Section = {
  name: 'growth with streams',
  async measure(scale) {
    const [small, medium, large] = scale.eventsOfUser;
    const seeds = [
      seedOf('small', usersInUse, usersInUse, small),
      seedOf('medium', usersWithLongStreams, usersWithLongStreams, medium),
      seedOf('large', usersWithLongStreams, usersWithLongStreams, large),
    ];
    const keyturn = await startKeyturn({ seeds, settings });
    try {
      return await growthRows(scale, {
        sizes: { small, medium, large },
        of: (size) => `streams of ${count(size)} events`,
        line: 'events in the stream',
        serverOf: () => keyturn,
        clientsOf: (size) => keyturn.clients[size] ?? [],
      });
    } finally {
      await keyturn.stop();
    }
  },
};

interface Growth {
  readonly sizes: Readonly<Record<Size, number>>;
  /** A size in words. */
  readonly of: (size: number) => string;
  /** What grows. */
  readonly line: string;
  readonly serverOf: (size: Size) => Keyturn;
  readonly clientsOf: (size: Size) => readonly Client[];
  readonly afterEach?: () => Promise<void>;
}

/** Grants before secrets are set: that ends those that the grants use. */
async function growthRows(scale: Scale, growth: Growth): Promise<Row[]> {
  return [
    ...(await growthOf('grant', scale, growth, grantRequests)),
    ...(await growthOf('PUT secret', scale, growth, (clients, keyturn) =>
      setSecretRequests(keyturn, clients),
    )),
  ];
}

async function growthOf(
  name: string,
  scale: Scale,
  { sizes: values, of, line, serverOf, clientsOf, afterEach }: Growth,
  requestsOf: (clients: readonly Client[], keyturn: Keyturn) => HttpRequest[],
): Promise<Row[]> {
  const until = { seconds: scale.seconds };
  const measurements = {} as Record<Size, Measurement>;
  for (const size of sizes) {
    const keyturn = serverOf(size);
    const requests = requestsOf(clientsOf(size), keyturn);
    // The first use of a secret pays for bcrypt, and the first change of a user reads its stream.
    const amount = Math.max(requests.length, inFlight);
    await load(keyturn, 'closed-load', { connections: inFlight, requests, until: { amount } });
    measurements[size] = async () => {
      const run = await load(keyturn, 'closed-load', { connections: inFlight, requests, until });
      await afterEach?.();
      return run;
    };
  }
  const runs = await inTurns(scale, measurements);
  return (['medium', 'large'] as const).map((size) =>
    comparedRow(
      {
        what: `${name}, ${of(values[size])}`,
        reference: `Keyturn, ${of(values.small)}`,
        atLeast: 0.85,
        growth: { line: `${name} by ${line}`, size: values[size], smallest: values.small },
      },
      runs[size],
      runs.small,
    ),
  );
}

async function startRow(scale: Scale, keyturn: Keyturn, what: string): Promise<Row> {
  const seconds: number[] = [];
  let running = keyturn;
  for (let round = 0; round <= scale.rounds; round++) {
    const restarted = await running.restart();
    running = restarted.keyturn;
    if (round > 0) seconds.push(restarted.seconds);
  }
  await running.stop();
  return limitedRow(what, ' s', seconds, 1);
}

function seedOf(name: string, users: number, known: number, eventsEach: number): Seed {
  return { name, users, known: Math.min(users, known), accessTokenType: 'jwt', eventsEach };
}
