import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What the process of the readers is sent first. */
export interface ReadersJob {
  readonly url: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string;
  readonly readers: number;
  /** How many each of them reads before it ends; absent: until it is sent `finish`. */
  readonly events?: number;
}

/** What it sends back when all streams are open. */
export interface ReadersOpened {
  readonly kind: 'opened';
}

/** What it sends back in the end. */
export interface ReadersResult {
  readonly kind: 'result';
  /** Read by all of them together. */
  readonly events: number;
  /** From the first request on. */
  readonly seconds: number;
  /** Of one core that the readers took. */
  readonly loadShare: number;
  /** Where no number of events was given: when the first reader got what, by subject and stream version, in nanoseconds of the machine's monotonic clock. */
  readonly arrivals: readonly (readonly [change: string, at: string])[];
}

/**
 * Readers of server-sent events that cost next to nothing, so that the server is what is measured: plain sockets with one
 * buffer each, ends of messages counted in the bytes, and only the first reader looks at what is in them.
 */
const endOfMessage = Buffer.from('\n\n');
const newline = 0x0a;
const change = /"subject":"machineUser-([^"]+)"[^\n]*?"streamversion":"(\d+)"/g;

const [job] = (await once(process, 'message')) as [ReadersJob];
const { hostname, port } = new URL(job.url);
const begin = performance.now();
const before = process.cpuUsage();
const arrivals: [change: string, at: string][] = [];
let events = 0;
let unfinished = '';
const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
process.once('message', () => finish());

const readers = Array.from({ length: job.readers }, (_, index) => open(index === 0));
await Promise.all(readers.map(({ opened }) => opened));
process.send?.({ kind: 'opened' } satisfies ReadersOpened);
await (job.events === undefined ? finished : Promise.all(readers.map(({ done }) => done)));
const seconds = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage(before);
const result: ReadersResult = {
  kind: 'result',
  events,
  seconds,
  loadShare: (user + system) / 1e6 / seconds,
  arrivals,
};
process.send?.(result, () => process.exit());

function open(isFirst: boolean): { opened: Promise<void>; done: Promise<void> } {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: done, resolve: end } = Promise.withResolvers<void>();
  const countEnds = messageEnds();
  // The first message tells where the stream begins.
  let read = -1;
  const take = (chunk: Buffer) => {
    if (read === -1) {
      if (!chunk.toString('latin1', 0, 12).endsWith(' 200')) throw new Error(chunk.toString('latin1'));
      open();
    }
    if (isFirst && job.events === undefined) note(chunk.toString('latin1'));
    const ends = countEnds(chunk);
    read += ends;
    events += ends;
    if (read < (job.events ?? Number.POSITIVE_INFINITY)) return true;
    socket.destroy();
    end();
    return false;
  };
  const socket: Socket = connect({
    host: hostname,
    port: Number(port),
    onread: {
      buffer: Buffer.allocUnsafe(64 * 1024),
      callback: (length, buffer) => take(Buffer.from(buffer.buffer, buffer.byteOffset, length)),
    },
  });
  socket.write(
    `GET ${job.path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: ${job.authorization}\r\n\r\n`,
  );
  return { opened, done };
}

/** Counts the empty lines in the chunks that it is given one after the other. */
function messageEnds(): (chunk: Buffer) => number {
  let endedWithNewline = false;
  return (chunk) => {
    let ends = endedWithNewline && chunk[0] === newline ? 1 : 0;
    let at = chunk.indexOf(endOfMessage);
    while (at !== -1) {
      ends++;
      at = chunk.indexOf(endOfMessage, at + endOfMessage.length);
    }
    endedWithNewline = chunk.at(-1) === newline;
    return ends;
  };
}

/** Writes down which changes came, and when. */
function note(text: string): void {
  const at = String(process.hrtime.bigint());
  const end = text.lastIndexOf('\n\n');
  const whole = unfinished + text.slice(0, end + 1);
  unfinished = text.slice(end + 1);
  for (const [, userId, version] of whole.matchAll(change)) arrivals.push([`${userId}/${version}`, at]);
}
