import type { FastifyBaseLogger } from 'fastify';
import { type Logger, symbols } from 'pino';

/** What JSON can say. */
type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;
type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';

/**
 * The logger of one request, with what is known of the request on each of its lines. Most requests log one line, and know
 * more of themselves each time before: the fields are written out when there is a line, all at once.
 */
export class RequestLog implements FastifyBaseLogger {
  readonly #logger: Logger;
  readonly #fields: Fields;
  #knowing: Logger | undefined;

  constructor(logger: Logger, fields: Fields) {
    this.#logger = logger;
    this.#fields = fields;
  }

  get level(): string {
    return this.#logger.level;
  }

  child(fields: Fields): RequestLog {
    return new RequestLog(this.#logger, { ...this.#fields, ...fields });
  }

  fatal(...line: unknown[]): void {
    this.#write('fatal', line);
  }

  error(...line: unknown[]): void {
    this.#write('error', line);
  }

  warn(...line: unknown[]): void {
    this.#write('warn', line);
  }

  info(...line: unknown[]): void {
    this.#write('info', line);
  }

  debug(...line: unknown[]): void {
    this.#write('debug', line);
  }

  trace(...line: unknown[]): void {
    this.#write('trace', line);
  }

  silent(): void {}

  /** @param line as `pino` takes it: a text and its values, or fields or an error before them */
  #write(level: Level, line: unknown[]): void {
    if (!this.#logger.isLevelEnabled(level)) return;
    this.#knowing ??= childKnowing(this.#logger, this.#fields);
    this.#knowing[level](...(line as [string]));
  }
}

/** As `logger.child(fields)`, which takes every name and value to `JSON.stringify` by itself: that costs three times as much. Redaction and
 * serializers of the logger do not see them: they are no place for anything secret. */
function childKnowing(logger: Logger, fields: Fields): Logger {
  const child = Object.create(logger);
  const members = JSON.stringify(fields).slice(1, -1);
  if (members !== '') child[symbols.chindingsSym] = `${child[symbols.chindingsSym]},${members}`;
  return child;
}
