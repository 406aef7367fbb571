import { connect, type Socket } from 'node:net';
import type { HttpRequest } from './load.ts';
import { hasNoLength, statusOfWhole } from './whole-answers.ts';

/** The connection was refused, or ended, or nothing came in time: as an overload may look like too. */
export const noAnswer = 0;

/** In milliseconds: how long a connection may be silent, before what it was asked counts as not answered. */
const patience = 60_000;

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
    const connection = new Connection(connect(this.#port, this.#host), {
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
  #asked: Asked | undefined;
  #arrived = '';

  constructor(
    socket: Socket,
    { onRest, onEnd }: { readonly onRest: () => void; readonly onEnd: () => void },
  ) {
    this.#socket = socket.setNoDelay().setTimeout(patience, () => socket.destroy());
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.#arrived += chunk;
      const statusCode = statusOfWhole(this.#arrived);
      if (statusCode === undefined) {
        if (hasNoLength(this.#arrived)) this.#asked?.onFault(new Error('an answer has no Content-Length'));
        return;
      }
      this.#arrived = '';
      this.#answered(statusCode);
      onRest();
    });
    // What follows is `close`.
    socket.on('error', () => {});
    socket.once('close', () => {
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
