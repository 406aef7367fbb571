import { connect } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { json } from 'node:stream/consumers';

/** What the load is told on its standard input. */
export interface GrantsJob {
  readonly url: string;
  readonly path: string;
  /** Bodies, one for each client. */
  readonly forms: readonly string[];
  readonly connections: number;
  readonly seconds: number;
}

/** What it prints. Latencies in milliseconds. */
export interface GrantsResult {
  /** Successful answers a second. */
  readonly rate: number;
  readonly latency: Readonly<Record<'p50' | 'p90' | 'p97.5' | 'p99' | 'p99.9' | 'max', number>>;
  /** Of one core that the load itself took. */
  readonly loadShare: number;
}

/**
 * Sends requests that are made before, each when the one before it on its connection is answered. It reads of an answer
 * no more than its status and where it ends: where load and server share two cores, each microsecond that the load takes is
 * taken from the faster of two servers most.
 */
const { url, path, forms, connections, seconds } = (await json(process.stdin)) as GrantsJob;
const { hostname, port, host } = new URL(url);
const requests = forms.map((form) =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n` +
      `content-type: application/x-www-form-urlencoded\r\ncontent-length: ${Buffer.byteLength(form)}\r\n\r\n${form}`,
  ),
);
const latencies = createHistogram();
const before = process.cpuUsage();
const begin = performance.now();
const end = begin + seconds * 1000;
const counts = await Promise.all(
  Array.from({ length: connections }, (_, index) => drive(Math.floor((index * forms.length) / connections))),
);
const duration = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage(before);
const milliseconds = (percentile: number) => latencies.percentile(percentile) / 1e6;
process.stdout.write(
  JSON.stringify({
    rate: counts.reduce((sum, count) => sum + count, 0) / duration,
    latency: {
      p50: milliseconds(50),
      p90: milliseconds(90),
      'p97.5': milliseconds(97.5),
      p99: milliseconds(99),
      'p99.9': milliseconds(99.9),
      max: latencies.max / 1e6,
    },
    loadShare: (user + system) / 1e6 / duration,
  } satisfies GrantsResult),
);

/** Keeps one connection busy, and gives how many requests were answered. Each begins elsewhere, so that no two ask for one client. */
function drive(first: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let answered = 0;
  let sentAt = 0;
  let text = '';
  const read = (length: number, buffer: Uint8Array) => {
    text += Buffer.from(buffer.buffer, buffer.byteOffset, length).toString('latin1');
    if (!isWhole(text)) return true;
    if (!text.startsWith('HTTP/1.1 200 ')) reject(new Error(`${url}${path} answered: ${text}`));
    text = '';
    const now = performance.now();
    latencies.record(Math.round((now - sentAt) * 1e6) || 1);
    answered++;
    if (now < end) {
      send();
      return true;
    }
    resolve(answered);
    socket.destroy();
    return false;
  };
  const socket = connect({
    ...{ host: hostname, port: Number(port), noDelay: true },
    // One buffer for all that arrives: a stream of new ones costs as much as reading them.
    onread: { buffer: Buffer.alloc(64 * 1024), callback: read },
  });
  const send = () => {
    sentAt = performance.now();
    socket.write(requests[(first + answered) % requests.length] as Buffer);
  };
  socket.on('connect', send).on('error', reject);
  socket.on('close', () => reject(new Error(`${url} ended a connection`)));
  return promise;
}

/** Whether an answer with a `Content-Length` has arrived to its end. */
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n');
  if (head === -1) return false;
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
  if (length === undefined) throw new Error(`an answer without a length: ${answer}`);
  return answer.length >= head + 4 + Number(length);
}
