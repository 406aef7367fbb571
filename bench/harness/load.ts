import { json } from 'node:stream/consumers';
import autocannon from 'autocannon';

/** What the process of the load is told on its standard input. */
export interface LoadJob {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly requests: autocannon.Request[];
}

/** What it prints. */
export interface LoadResult {
  /** Successful answers a second. */
  readonly rate: number;
  /** In milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number };
  /** Of one core that the load itself took: near 1 it is the load that is measured, not the server. */
  readonly loadShare: number;
}

const { url, connections, seconds, requests } = (await json(process.stdin)) as LoadJob;
let client = 0;
const before = process.cpuUsage();
const result = await autocannon({
  url,
  connections,
  duration: seconds,
  requests,
  // Each connection begins elsewhere: else all would ask for the same user at the same time.
  setupClient(one) {
    const first = Math.floor((client++ * requests.length) / connections);
    one.setRequests([...requests.slice(first), ...requests.slice(0, first)]);
  },
});
const { user, system } = process.cpuUsage(before);
if (result.non2xx + result.errors > 0) {
  throw new Error(`${url}: ${result.non2xx} answers were no success, ${result.errors} requests failed`);
}
process.stdout.write(
  JSON.stringify({
    rate: result['2xx'] / result.duration,
    latency: { p50: result.latency.p50, p99: result.latency.p99 },
    loadShare: (user + system) / 1e6 / result.duration,
  } satisfies LoadResult),
);
