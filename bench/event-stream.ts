import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { comparisonOf, takeTurns } from './harness/comparison.ts';
import {
  cpuSeconds,
  type KeyturnWithHistory,
  startEventStreams,
  startKeyturnWithHistory,
  startReaders,
} from './subscriptions.ts';

/**
 * Server-sent events: how long after the answer to a PUT secret its event arrives, with many open streams; how fast
 * readers catch up, beside a bare route; and what readers that do not read cost in memory. The server, its readers and the
 * load (this process) are processes of their own: the shares tell which of them is at its end.
 *
 *     npm run bench:events -- --rates 200,400,800
 *     npm run bench:events -- --only latency
 */
const { values } = parseArgs({
  options: {
    rates: { type: 'string', default: '200,400,600,800,1000' },
    streams: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '8' },
    history: { type: 'string', default: '100000' },
    only: { type: 'string', default: '' },
  },
});
const streams = Number(values.streams);
const seconds = Number(values.seconds);
const history = Number(values.history);
const robots = 200;
const connections = 64;
const rounds = 3;

print(`Node ${process.version}, ${availableParallelism()} cores`);
if ('latency'.includes(values.only)) await latencies();
if ('catch-up'.includes(values.only)) await catchUp();
if ('memory'.includes(values.only)) await memory();
process.exit();

async function latencies(): Promise<void> {
  const keyturn = await startKeyturnWithHistory(0);
  try {
    const pool = new Pool(keyturn.url, { connections });
    const send = async (method: 'POST' | 'PUT', path: string, body: object) => {
      const headers = { authorization: keyturn.authorization, 'content-type': 'application/json' };
      const response = await pool.request({ method, path, headers, body: JSON.stringify(body) });
      if (response.statusCode !== 200) throw new Error(`${path} was answered with ${response.statusCode}`);
      return (await response.body.json()) as { userId: string; details: { sequence: string } };
    };
    const added = Array.from({ length: robots }, (_, index) =>
      send('POST', '/management/v1/users/machine', { userName: `robot-${index}`, name: 'Robot' }),
    );
    const users = (await Promise.all(added)).map(({ userId }) => userId);
    for (const rate of values.rates.split(',').map(Number)) await latencyAt(rate, keyturn, users, send);
    await pool.destroy();
  } finally {
    await keyturn.stop();
  }
}

async function latencyAt(
  rate: number,
  { url, pid, authorization }: KeyturnWithHistory,
  users: readonly string[],
  send: (method: 'PUT', path: string, body: object) => Promise<{ details: { sequence: string } }>,
): Promise<void> {
  const path = '/keyturn/v1/events?type=MachineSecretSet';
  const readers = await startReaders({ url, path, authorization, readers: streams });
  const answers = new Map<string, bigint>();
  const setSecret = async (userId: string) => {
    const { details } = await send('PUT', `/management/v1/users/${userId}/secret`, {});
    answers.set(`${userId}/${details.sequence}`, process.hrtime.bigint());
  };
  const begin = performance.now();
  const cpuBefore = process.cpuUsage();
  const serverBefore = cpuSeconds(pid);
  const sent: Promise<void>[] = [];
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - begin) / 1000) {
    // At the given rate, but never more under way than there are connections: else their queue is what is measured.
    const due = Math.min(elapsed * rate, answers.size + connections);
    while (sent.length < due) sent.push(setSecret(users[sent.length % users.length] ?? ''));
    await delay(1);
  }
  await Promise.all(sent);
  const took = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const serverShare = (cpuSeconds(pid) - serverBefore) / took;
  await delay(500);
  readers.finish();
  const result = await readers.result;
  const arrivals = new Map(result.arrivals.map(([change, at]) => [change, BigInt(at)]));
  // An event may arrive before the answer does: then nobody waited.
  const waits = [...answers].flatMap(([change, answeredAt]) => {
    const arrivedAt = arrivals.get(change);
    return arrivedAt === undefined ? [] : [Math.max(0, Number(arrivedAt - answeredAt) / 1e6)];
  });
  waits.sort((a, b) => a - b);
  const quantile = (share: number) => `${waits[Math.floor(waits.length * share)]?.toFixed(1)} ms`;
  print(
    `${rate}/s asked for, ${(answers.size / took).toFixed(0)}/s answered, ${streams} streams, ` +
      `${answers.size - waits.length} events missing: p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, most ${quantile(0.9999)}; ` +
      `cores: server ${serverShare.toFixed(2)}, readers ${result.loadShare.toFixed(2)}, load ${((user + system) / 1e6 / took).toFixed(2)}`,
  );
}

async function catchUp(): Promise<void> {
  const eventStreams = await startEventStreams(history);
  try {
    for (const [readers, share] of [
      [1, 1],
      [100, 0.02],
    ] as const) {
      const events = history * share;
      const runs = await takeTurns(
        {
          keyturn: eventStreams.keyturn(readers, events),
          bareRoute: eventStreams.bareRoute(readers, events),
        },
        { rounds, warmUpRounds: 1 },
      );
      const { keyturn, reference, ratio, loadShare } = comparisonOf(runs.keyturn, runs.bareRoute);
      print(
        `${readers} readers catch up: ${keyturn.median.toFixed(0)} events/s, bare route ${reference.median.toFixed(0)}/s, ` +
          `ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}), load ${loadShare?.toFixed(2)}`,
      );
    }
  } finally {
    await eventStreams.stop();
  }
}

async function memory(): Promise<void> {
  const { url, pid, authorization, stop } = await startKeyturnWithHistory(history);
  try {
    const megabytes = [residentMegabytes(pid)];
    const stalled: Response[] = [];
    for (let round = 0; round < rounds; round++) {
      const opened = Array.from({ length: 20 }, () =>
        fetch(`${url}/keyturn/v1/events?after=0`, { headers: { authorization } }),
      );
      stalled.push(...(await Promise.all(opened)));
      await delay(5000);
      megabytes.push(residentMegabytes(pid));
    }
    print(`memory with 0, 20, 40 and 60 readers that do not read: ${megabytes.join(', ')} MB`);
    await Promise.all(stalled.map(({ body }) => body?.cancel()));
  } finally {
    await stop();
  }
}

function residentMegabytes(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ').map(Number);
  return Math.round(((pages ?? 0) * 4096) / 1e6);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
