import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';

/** In characters: so much is written at once, */
const gatheredLength = 16 * 1024;
/** or what came within this time, in milliseconds. */
const gatheringTime = 100;
/** In bytes: when whoever reads the log has stopped reading, so much waits; what comes then is dropped, and counted. */
const mostWaiting = 32 * 1024 * 1024;
/** In milliseconds: how long the end of the process waits for whoever reads the log. */
const patience = 1000;

export interface ServiceLog {
  readonly logger: Logger;
  /** Writes what waits now, rather than a moment later. */
  flush(): void;
  /** Resolves when all is written, or when nobody has read it for a while. What is logged afterwards is written when the process exits. */
  close(): Promise<void>;
}

/**
 * Logs JSON lines to standard output. They are gathered, and written outside the main thread: a request does not wait for
 * its line, and a reader that has stopped reading does not stop the service.
 */
export function serviceLog(level: string): ServiceLog {
  const destination = pino.destination({
    dest: 1,
    sync: false,
    minLength: gatheredLength,
    maxWrite: 2 * gatheredLength,
    maxLength: mostWaiting,
  });
  const gathered = new GatheredLines(destination);
  const logger = pino({ level }, gathered);
  // A full disk, or a terminal that is gone: the service goes on without a log, and its exit does not try again for ever.
  destination.on('error', () => {
    Object.assign(destination, { write: () => true, flush: () => {}, flushSync: () => {} });
  });
  let dropped = 0;
  destination.on('drop', (lines: string) => {
    dropped += lines.split('\n').length - 1;
  });
  destination.on('drain', () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    logger.warn({ lines }, 'log lines were dropped: nobody read them');
  });
  return {
    logger,
    flush: () => gathered.handOver(),
    async close() {
      gathered.handOver();
      // Standard output may be a pipe, which cannot be synchronized: written is all that can be had.
      const written = new Promise<true>((resolve) => destination.flush(() => resolve(true)));
      const isWritten = await Promise.race([written, delay(patience, false)]);
      // The exit of the process would otherwise wait for the reader, for ever.
      if (!isWritten) gathered.giveUp();
    },
  };
}

/**
 * Lines on their way to `destination`, which could gather them itself, but would put together and measure with each line
 * all that it has: for 4 kB, which is little, that and writing it took a third of what a line costs.
 */
class GatheredLines {
  readonly #destination: ReturnType<typeof pino.destination>;
  #lines = '';
  #isClosed = false;

  constructor(destination: ReturnType<typeof pino.destination>) {
    this.#destination = destination;
    destination.once('close', () => {
      this.#isClosed = true;
    });
    setInterval(this.handOver, gatheringTime).unref();
    // Before the destination ends itself there.
    process.prependListener('beforeExit', this.handOver);
    process.on('exit', this.flushSync);
  }

  write(line: string): void {
    if (this.#isClosed) return;
    this.#lines += line;
    if (this.#lines.length >= gatheredLength) this.#give();
  }

  readonly handOver = (): void => {
    if (this.#lines === '' || this.#isClosed) return;
    this.#give();
    this.#destination.flush();
  };

  /** `pino` asks for it after a fatal error. */
  readonly flushSync = (): void => {
    if (this.#isClosed) return;
    this.#give();
    this.#destination.flushSync();
  };

  /** Writes nothing more: an exit would wait for ever. */
  giveUp(): void {
    this.#isClosed = true;
    this.#destination.destroy();
  }

  #give(): void {
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#destination.write(lines);
  }
}
