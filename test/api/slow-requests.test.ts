import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import fastify from 'fastify';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { withDeadline } from '../../src/api/deadline.ts';
import { createListener } from '../../src/api/listener.ts';
import { requestGone } from '../../src/api/request-gone.ts';

/** A server that never answers, with little patience. */
async function impatient() {
  const server = createListener(() => {}, {
    requestTimeout: 200,
    idleTimeout: 300,
    maxConcurrentStreams: 10,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('a request that does not arrive in time', () => {
  it.each([
    ['nothing at all', ''],
    ['the begin of HTTP/2', 'PR'],
  ])('is dropped when it is %s', async (_, start) => {
    const socket = connect(await impatient(), '127.0.0.1');
    socket.write(start);
    await once(socket, 'close');
  });

  it.each([
    ['headers', 'POST / HTTP/1.1\r\nhost: x\r\n'],
    ['a body', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf'],
  ])('is answered 408 when %s is cut short, over HTTP/1.1', async (_, start) => {
    const socket = connect(await impatient(), '127.0.0.1');
    socket.write(start);
    expect(await text(socket)).toMatch(/^HTTP\/1.1 408/);
  });

  it('is reset over HTTP/2', async () => {
    const session = connectHttp2(`http://127.0.0.1:${await impatient()}`);
    const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
    const [error] = await once(stream, 'error').catch((thrown) => [thrown]);
    expect(String(error)).toContain('NGHTTP2_ENHANCE_YOUR_CALM');
    session.destroy();
  });
});

test('an HTTP/2 connection without requests is closed', async () => {
  const session = connectHttp2(`http://127.0.0.1:${await impatient()}`);
  await once(session, 'close');
});

test('work that takes too long is not waited for, and told to stop', async () => {
  const app = fastify();
  onTestFinished(() => app.close());
  let signal: AbortSignal | undefined;
  app.get('/', (_request, reply) =>
    withDeadline(100, requestGone(reply), (given) => {
      signal = given;
      return new Promise<never>(() => {});
    }).catch((error: Error) => error.message),
  );
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  expect(await (await fetch(url)).text()).toBe('the request took too long');
  expect(signal?.aborted).toBe(true);
});

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('who has gone while a hook waited is known to be gone, over %s', async (_, http2) => {
  const app = fastify(http2 ? ({ http2 } as object) : {});
  onTestFinished(() => app.close());
  const arrived = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<boolean>();
  app.addHook('onRequest', async (request) => {
    const left = once(request.raw, 'aborted');
    arrived.resolve();
    await left;
  });
  app.post('/', async (_request, reply) => {
    answered.resolve(requestGone(reply).aborted);
    return 'late';
  });
  const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));
  if (http2) {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    stream.on('error', () => {}).resume();
    await arrived.promise;
    stream.close(constants.NGHTTP2_CANCEL);
  } else {
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nhost: x\r\n\r\n');
    await arrived.promise;
    socket.destroy();
  }
  expect(await answered.promise).toBe(true);
});

test('an answer over HTTP/2 may take longer than its request may take to arrive', async () => {
  const server = createListener(
    (_request, response) => {
      response.writeHead(200);
      setTimeout(() => response.end('late'), 500);
    },
    { requestTimeout: 200, idleTimeout: 5000, maxConcurrentStreams: 10 },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await text(session.request({ ':path': '/' }))).toBe('late');
  session.close();
});
