import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';

/** In bytes: so much is written at once, */
const gatheredBytes = 4096;
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
  /** Resolves when all is written, or when nobody has read it for a while. Nothing can be logged afterwards. */
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
    minLength: gatheredBytes,
    periodicFlush: gatheringTime,
    maxLength: mostWaiting,
  });
  const logger = pino({ level }, destination);
  // A full disk, or a terminal that is gone: the service goes on without a log, and its exit does not try again for ever.
  destination.on('error', () => {
    Object.assign(destination, { write: () => true, flush: () => {}, flushSync: () => {} });
  });
  let dropped = 0;
  destination.on('drop', () => dropped++);
  destination.on('drain', () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    logger.warn({ lines }, 'log lines were dropped: nobody read them');
  });
  return {
    logger,
    flush: () => destination.flush(),
    async close() {
      // Standard output may be a pipe, which cannot be synchronized: written is all that can be had.
      const written = new Promise<true>((resolve) => destination.flush(() => resolve(true)));
      const isWritten = await Promise.race([written, delay(patience, false)]);
      // The exit of the process would otherwise wait for the reader, for ever.
      if (!isWritten) destination.destroy();
    },
  };
}
