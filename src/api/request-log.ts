import type { FastifyBaseLogger } from 'fastify';

type Fields = Readonly<Record<string, unknown>>;
type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/**
 * The logger of one request, with what is known of the request on each of its lines. Most requests log one line, and know
 * more of themselves each time before: a child of `pino` would write all fields out each time.
 */
export class RequestLog implements FastifyBaseLogger {
  readonly #logger: FastifyBaseLogger;
  readonly #fields: Fields;

  constructor(logger: FastifyBaseLogger, fields: Fields) {
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
  #write(level: Level, [first, ...rest]: unknown[]): void {
    const [message, ...values] = (typeof first === 'string' ? [first, ...rest] : rest) as [
      string,
      ...unknown[],
    ];
    this.#logger[level]({ ...this.#fields, ...fieldsOf(first) }, message, ...values);
  }
}

function fieldsOf(first: unknown): Fields {
  if (first instanceof Error) return { err: first };
  return typeof first === 'object' ? (first as Fields) : {};
}
