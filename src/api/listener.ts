import { createServer as createHttp1Server, type RequestListener, type Server } from 'node:http';
import {
  constants,
  createServer as createHttp2Server,
  createSecureServer,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';

/** A certificate chain and its private key, both PEM. */
export interface TlsCredentials {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface ListenerOptions {
  /** With it the port speaks TLS only, and ALPN picks the protocol. */
  readonly tls?: TlsCredentials | undefined;
  /** In milliseconds: how long a request may take to arrive, on HTTP/1 and HTTP/2. */
  readonly requestTimeout: number;
  /** In milliseconds: how long a connection without a request is kept. */
  readonly idleTimeout: number;
  /** How many requests one HTTP/2 connection may have under way. */
  readonly maxConcurrentStreams: number;
}

/** In milliseconds: how long a stream stays open for a request that goes on after its answer. */
const unreadBodyPatience = 500;

/** The begin of HTTP/2 with prior knowledge (RFC 9113 section 3.4). No method of HTTP/1 begins like this. */
const http2Preface = Buffer.from('PRI');

/**
 * A server that speaks HTTP/1.1 and HTTP/2 on one port, not listening yet. Without TLS the first bytes of a
 * connection tell the two apart; with TLS, ALPN does.
 *
 * `close` of the server lets the requests under way finish, on both protocols.
 */
export function createListener(handler: RequestListener, options: ListenerOptions): Server {
  return options.tls === undefined
    ? createCleartextListener(handler, options)
    : createSecureListener(handler, options, options.tls);
}

function createCleartextListener(handler: RequestListener, options: ListenerOptions): Server {
  const { requestTimeout } = options;
  const http2 = createHttp2Server(http2OptionsOf(options), handler as never);
  const server = createHttp1Server(http1OptionsOf(options), handler);
  const sessions = limitSessions(http2, options);
  const undecided = new Set<Socket>();

  const serveHttp1 = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    undecided.add(socket);
    socket.once('close', () => undecided.delete(socket));
    readStart(socket, requestTimeout, (start) => {
      undecided.delete(socket);
      if (start.subarray(0, http2Preface.length).equals(http2Preface)) http2.emit('connection', socket);
      else for (const serve of serveHttp1) serve.call(server, socket);
    });
  });
  return closing(server, () => {
    for (const session of sessions) session.close();
    for (const socket of undecided) socket.destroy();
  });
}

function createSecureListener(
  handler: RequestListener,
  options: ListenerOptions,
  { cert, key }: TlsCredentials,
): Server {
  const server = createSecureServer(
    {
      ...http2OptionsOf(options),
      ...{ cert, key, minVersion: 'TLSv1.2', allowHTTP1: true },
      ...http1OptionsOf(options),
    },
    handler as never,
  );
  const sessions = limitSessions(server, options);
  // It serves HTTP/1 too, with the methods that this takes of a server.
  return closing(server as unknown as Server, () => {
    for (const session of sessions) session.close();
  });
}

function http1OptionsOf({ requestTimeout, idleTimeout }: ListenerOptions) {
  return {
    requestTimeout,
    headersTimeout: requestTimeout,
    keepAliveTimeout: idleTimeout,
    // How late a request may be found to be late.
    connectionsCheckingInterval: Math.ceil(requestTimeout / 10),
  };
}

function http2OptionsOf({ maxConcurrentStreams }: ListenerOptions) {
  return { settings: { maxConcurrentStreams, enablePush: false } };
}

/** Ends idle sessions and requests that do not arrive in time. Gives the sessions that are open. */
function limitSessions(
  server: ReturnType<typeof createHttp2Server> | ReturnType<typeof createSecureServer>,
  { requestTimeout, idleTimeout }: ListenerOptions,
): ReadonlySet<ServerHttp2Session> {
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.setTimeout(idleTimeout, () => session.close());
  });
  server.on('stream', (stream, _headers, flags) => {
    const late = setTimeout(() => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM), requestTimeout);
    const arrived = () => clearTimeout(late);
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) arrived();
    stream.once('end', arrived).once('close', arrived);
    stream.once('finish', () => {
      // Where nobody wanted all of the body, the stream would stay open for the rest (RFC 9113 section 8.1).
      setTimeout(() => stream.destroy(), unreadBodyPatience).unref();
    });
  });
  return sessions;
}

/** `close` waits for all connections: those that nobody else ends must be told to. */
function closing(server: Server, endConnections: () => void): Server {
  const close = server.close.bind(server);
  server.close = (callback) => {
    endConnections();
    return close(callback);
  };
  return server;
}

/** Looks at the first bytes of a connection and puts them back. One that sends none in time is dropped. */
function readStart(socket: Socket, timeout: number, decide: (start: Buffer) => void): void {
  let start: Buffer = Buffer.alloc(0);
  const onError = () => socket.destroy();
  const onEnd = () => socket.end();
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    start = Buffer.concat([start, chunk]);
    if (start.length < http2Preface.length && http2Preface.indexOf(start) === 0) return;
    socket.off('readable', onReadable).off('error', onError).off('timeout', onError).off('end', onEnd);
    socket.setTimeout(0);
    socket.unshift(start);
    decide(start);
  };
  socket.setTimeout(timeout);
  socket.on('readable', onReadable).on('error', onError).on('timeout', onError).on('end', onEnd);
}
