import { connect, type Socket } from 'node:net';
import type { HttpRequest } from './load.ts';

/** The connection was refused, or ended, or nothing came in time: as an overload may look like too. */
export const noAnswer = 0;

/** In milliseconds: how long a connection may be silent, before what it was asked counts as not answered. */
const patience = 60_000;

/** In bytes: of what arrives on a connection so much is read at once. */
const bufferLength = 4096;

interface Asked {
  /** The request, as it is sent. */
  readonly text: string;
  readonly onAnswer: (statusCode: number) => void;
  readonly onFault: (error: Error) => void;
}

/**
 * Connections to a server, with one request under way on each. They take next to nothing of the cores that load and server share, where
 * a client for all of HTTP takes as much for a request that is refused as the server does.
 */
export class HttpConnections {
  readonly #host: string;
  readonly #port: number;
  readonly #most: number;
  readonly #open = new Set<Connection>();
  /** The one used last is used next: no more are open than are needed. */
  readonly #atRest: Connection[] = [];
  readonly #waiting: Asked[] = [];

  /** @param most how many there may be: further requests wait for one */
  constructor(url: string, most: number) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#most = most;
  }

  /**
   * Rejects where an answer has no `Content-Length`: its end is not found here, and it must not look like an overload.
   *
   * @returns the status of the answer, or `noAnswer`
   */
  ask(text: string): Promise<number> {
    return new Promise((onAnswer, onFault) => {
      const asked = { text, onAnswer, onFault };
      const connection = this.#atRest.pop();
      if (connection !== undefined) connection.send(asked);
      else if (this.#open.size < this.#most) this.#connect().send(asked);
      else this.#waiting.push(asked);
    });
  }

  close(): void {
    for (const connection of this.#open) connection.end();
  }

  #connect(): Connection {
    const connection = new Connection(this.#host, this.#port, {
      onRest: () => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#atRest.push(connection);
        else connection.send(next);
      },
      onEnd: () => {
        this.#open.delete(connection);
        const place = this.#atRest.indexOf(connection);
        if (place >= 0) this.#atRest.splice(place, 1);
        const next = this.#waiting.shift();
        if (next !== undefined) this.#connect().send(next);
      },
    });
    this.#open.add(connection);
    return connection;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #onRest: () => void;
  #asked: Asked | undefined;
  #arrived = '';

  constructor(
    host: string,
    port: number,
    { onRest, onEnd }: { readonly onRest: () => void; readonly onEnd: () => void },
  ) {
    this.#onRest = onRest;
    const buffer = Buffer.alloc(bufferLength);
    this.#socket = connect({
      ...{ host, port, noDelay: true },
      // One buffer for all that arrives: as a stream of new ones it costs a quarter of the load.
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer.toString('latin1', 0, length));
          return true;
        },
      },
    });
    this.#socket.setTimeout(patience, () => this.#socket.destroy());
    // What follows is `close`.
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => {
      this.#answered(noAnswer);
      onEnd();
    });
  }

  send(asked: Asked): void {
    this.#asked = asked;
    this.#socket.write(asked.text);
  }

  end(): void {
    this.#socket.end();
  }

  #read(text: string): void {
    this.#arrived += text;
    const statusCode = statusOfWhole(this.#arrived);
    if (statusCode === undefined) {
      if (hasNoLength(this.#arrived)) this.#asked?.onFault(new Error('an answer has no Content-Length'));
      return;
    }
    this.#arrived = '';
    this.#answered(statusCode);
    this.#onRest();
  }

  #answered(statusCode: number): void {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.onAnswer(statusCode);
  }
}

/** @param host as the URL of the server has it */
export function textOf({ method, path, headers, body }: HttpRequest, host: string): string {
  const fields = { host, ...headers, 'content-length': Buffer.byteLength(body) };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

const lengthField = /\r\ncontent-length: (\d+)\r\n/i;

/** Whether the head of an answer has arrived, and does not tell where its body ends. */
function hasNoLength(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  return head >= 0 && !lengthField.test(text.slice(0, head + 2));
}

/** Undefined where `text` is anything else than one answer with a `Content-Length`, from its beginning to its end. */
function statusOfWhole(text: string): number | undefined {
  const length = lengthField.exec(text);
  const head = text.indexOf('\r\n\r\n');
  if (length === null || length.index > head || text.length !== head + 4 + Number(length[1]))
    return undefined;
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text);
  return status === null ? undefined : Number(status[1]);
}
