import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { compressionGzip, createGrpcTransport } from '@connectrpc/connect-node';
import { AdminService } from '@zitadel/proto/zitadel/admin_pb.js';
import {
  AddMachineUserRequestSchema,
  GetUserByIDRequestSchema,
  ManagementService,
} from '@zitadel/proto/zitadel/management_pb.js';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import { file_zitadel_object } from '@zitadel/proto/zitadel/object_pb.js';
import fc from 'fast-check';
import { generate } from 'selfsigned';
import { describe, expect, it, test, vi } from 'vitest';
import { ServerReflection } from '#generated/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '#generated/grpc/reflection/v1alpha/reflection_pb.js';
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '#generated/health/v1/health_pb.js';
import { limits } from '../../src/api/server.ts';
import { bcryptHasher, type SecretHasher } from '../../src/application/secret-hasher.ts';
import { runKeyturn } from '../support/keyturn-process.ts';
import { rawGrpc } from '../support/rpc-clients.ts';
import { adminToken, answerOf, type RunningService, runningService } from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const path = '/zitadel.management.v1.ManagementService';

async function certificate() {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
  });
  return { cert, key };
}

/** As gRPC sends it, not compressed. */
function grpcMessage(bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

async function grpcClient(running: RunningService, options = {}) {
  const client = createClient(ManagementService, createGrpcTransport({ baseUrl: running.url, ...options }));
  return { client, headers: { authorization: `Bearer ${await adminToken(running)}` } };
}

/** Hashes of which all but the first, that of the admin's secret, are held up until they are released. */
function slowHasher() {
  const real = bcryptHasher(4);
  const released = Promise.withResolvers<void>();
  let count = 0;
  const hasher: SecretHasher = {
    ...real,
    async hash(secret) {
      if (++count > 1) await released.promise;
      return real.hash(secret);
    },
  };
  const started = (wanted: number) => vi.waitFor(() => expect(count).toBeGreaterThanOrEqual(wanted));
  return { hasher, started, release: () => released.resolve() };
}

describe('one port', () => {
  it('speaks HTTP/1.1, HTTP/2 with prior knowledge, REST and gRPC', async () => {
    const { url } = await runningService();
    const session = connectHttp2(url);
    const stream = session.request({ ':path': '/management/v1/healthz' });
    const [headers] = await once(stream, 'response');
    expect([headers[':status'], await text(stream)]).toEqual([200, '{}']);
    session.close();
    expect((await fetch(`${url}/management/v1/healthz`)).status).toBe(200);
    const client = createClient(ManagementService, createGrpcTransport({ baseUrl: url }));
    expect((await client.healthz({})).$typeName).toBe('zitadel.management.v1.HealthzResponse');
  });

  it('takes a request that arrives byte by byte, on either protocol', async () => {
    const { url } = await runningService();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    for (const byte of 'GET /debug/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n') {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await text(socket)).toMatch(/^HTTP\/1.1 200/);
    const preface = connect(Number(new URL(url).port), '127.0.0.1');
    for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') {
      preface.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [settings] = (await once(preface, 'data')) as [Buffer];
    expect(settings[3]).toBe(4); // the type of a SETTINGS frame
    preface.destroy();
  });

  it('stops although a client has connected and said nothing', async () => {
    const { url, service } = await runningService();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    await once(socket, 'connect');
    const closed = once(socket, 'close');
    await service.close();
    await closed;
  });

  it('lets calls under way finish when it stops, over HTTP/2', async () => {
    const hashing = slowHasher();
    const running = await runningService({ hasher: hashing.hasher });
    const { client, headers } = await grpcClient(running);
    await client.addMachineUser({ userId: 'r', userName: 'r', name: 'R' }, { headers });
    const call = client.generateMachineSecret({ userId: 'r' }, { headers });
    await hashing.started(2);
    const closed = running.service.close();
    hashing.release();
    expect((await call).clientSecret).toMatch(/^kts_/);
    await closed;
  });
});

describe('TLS', () => {
  it('lets ALPN pick HTTP/2 or HTTP/1.1, for gRPC and REST', async () => {
    const { cert, key } = await certificate();
    const running = await runningService({ tls: { cert, key } });
    expect(running.service.issuer).toMatch(/^https:\/\/localhost:/);
    const url = running.service.issuer;

    const nodeOptions = { ca: cert };
    const client = createClient(ManagementService, createGrpcTransport({ baseUrl: url, nodeOptions }));
    expect((await client.healthz({})).$typeName).toBe('zitadel.management.v1.HealthzResponse');

    const request = httpsRequest(`${url}/management/v1/healthz`, { ca: cert });
    request.end();
    const [response] = await once(request, 'response');
    expect([response.httpVersion, response.statusCode, await text(response)]).toEqual(['1.1', 200, '{}']);

    const protocols = ['h2', 'http/1.1'];
    for (const ALPNProtocols of [protocols, protocols.slice(1)]) {
      const socket = connectTls({
        port: Number(new URL(url).port),
        host: 'localhost',
        ca: cert,
        ALPNProtocols,
      });
      await once(socket, 'secureConnect');
      expect(socket.alpnProtocol).toBe(ALPNProtocols[0]);
      socket.destroy();
    }
  });

  it('refuses what is not TLS', async () => {
    const { cert, key } = await certificate();
    const { service } = await runningService({ tls: { cert, key } });
    await expect(fetch(service.issuer.replace('https:', 'http:'))).rejects.toThrow();
  });

  it.each<[{ cert?: string; key?: string }, RegExp]>([
    [{ cert: 'cert.pem' }, /KEYTURN_TLS_CERT and KEYTURN_TLS_KEY belong together/],
    [{ key: 'key.pem' }, /KEYTURN_TLS_CERT and KEYTURN_TLS_KEY belong together/],
    [{ cert: 'missing.pem', key: 'key.pem' }, /KEYTURN_TLS_CERT cannot be read: .*missing\.pem/],
    [{ cert: 'cert.pem', key: 'other.pem' }, /KEYTURN_TLS_CERT and KEYTURN_TLS_KEY cannot be used: /],
    [{ cert: 'cert.pem', key: 'cert.pem' }, /KEYTURN_TLS_CERT and KEYTURN_TLS_KEY cannot be used: /],
  ])('with the files %j stops the start with a reason', async ({ cert, key }, reason) => {
    const folder = temporaryFolder();
    const [mine, other] = await Promise.all([certificate(), certificate()]);
    writeFileSync(join(folder, 'cert.pem'), mine.cert);
    writeFileSync(join(folder, 'key.pem'), mine.key);
    writeFileSync(join(folder, 'other.pem'), other.key);
    const environment = { ...(cert && { KEYTURN_TLS_CERT: cert }), ...(key && { KEYTURN_TLS_KEY: key }) };
    const { status, stderr } = await runKeyturn(['serve', '--port', '0'], folder, environment);
    expect([status, stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(stderr).not.toContain('BEGIN');
  });
});

describe('a request', () => {
  it('with too many headers is refused', async () => {
    const { url } = await runningService();
    const many = Object.fromEntries(
      Array.from({ length: limits.headers }, (_, index) => [`x-${index}`, 'x']),
    );
    const { status, body } = await answerOf(await fetch(`${url}/debug/healthz`, { headers: many }));
    expect([status, body]).toEqual([431, { code: 8, message: 'the request has too many headers' }]);
  });

  it.each([
    ['as it is', {}],
    ['compressed', { sendCompression: compressionGzip }],
  ])('that is too large is refused over gRPC too, sent %s', async (_, options) => {
    const { client, headers } = await grpcClient(await runningService(), options);
    const call = client.addMachineUser({ userName: 'r', name: 'x'.repeat(limits.bodyBytes) }, { headers });
    await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  it('has a bounded number of others beside it on one HTTP/2 connection', async () => {
    const { url } = await runningService();
    const session = connectHttp2(url);
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.maxConcurrentStreams).toBe(limits.concurrentStreams);
    session.destroy();
  });

  it('whose deadline has passed, or that nobody waits for any more, changes nothing', async () => {
    const hashing = slowHasher();
    const running = await runningService({ hasher: hashing.hasher });
    const { client, headers } = await grpcClient(running);
    await client.addMachineUser({ userId: 'r', userName: 'r', name: 'R' }, { headers });

    const late = client.generateMachineSecret({ userId: 'r' }, { headers, timeoutMs: 200 });
    await expect(late).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await vi.waitFor(() => expect(running.log()).toMatch(/GenerateMachineSecret".*"msg":"request"/));
    const aborted = () => running.log().match(/request aborted/g)?.length ?? 0;
    const abortedBefore = aborted();
    const cancelled = new AbortController();
    const given = client.generateMachineSecret({ userId: 'r' }, { headers, signal: cancelled.signal });
    const left = fetch(`${running.url}/management/v1/users/r/secret`, {
      method: 'PUT',
      headers,
      signal: cancelled.signal,
    });
    await hashing.started(4);
    cancelled.abort();
    await expect(given).rejects.toMatchObject({ code: Code.Canceled });
    await expect(left).rejects.toThrow();
    await vi.waitFor(() => expect(aborted()).toBe(abortedBefore + 2));

    hashing.release();
    // Those before it in the same queue have had their turn when this one has.
    await client.generateMachineSecret({ userId: 'r' }, { headers });
    const { user } = await client.getUserByID({ id: 'r' }, { headers });
    expect(user?.details?.sequence).toBe(2n);
  });
});

describe('gRPC', () => {
  it('tells its health, of all and of each service', async () => {
    const { url } = await runningService();
    const client = createClient(Health, createGrpcTransport({ baseUrl: url }));
    for (const service of ['', 'zitadel.management.v1.ManagementService', 'zitadel.user.v2.UserService']) {
      expect((await client.check({ service })).status).toBe(ServingStatus.SERVING);
    }
    await expect(client.check({ service: 'nothing' })).rejects.toMatchObject({ code: Code.NotFound });
    const statuses = client.watch({ service: '' })[Symbol.asyncIterator]();
    expect((await statuses.next()).value?.status).toBe(ServingStatus.SERVING);
    await statuses.return?.();
  });

  it.each([ServerReflection, ServerReflectionAlpha])('describes itself by $typeName', async (reflection) => {
    const { url } = await runningService();
    const client = createClient(reflection as typeof ServerReflection, createGrpcTransport({ baseUrl: url }));
    async function* ask() {
      yield { messageRequest: { case: 'listServices', value: '' } } as const;
      yield {
        messageRequest: {
          case: 'fileContainingSymbol',
          value: 'zitadel.management.v1.ManagementService.GenerateMachineSecret',
        },
      } as const;
      yield {
        messageRequest: { case: 'fileContainingSymbol', value: 'zitadel.v1.ErrorDetail' },
      } as const;
      yield { messageRequest: { case: 'fileByFilename', value: 'zitadel/object.proto' } } as const;
      yield { messageRequest: { case: 'fileContainingSymbol', value: 'no.such.Symbol' } } as const;
    }
    const answers = (await Array.fromAsync(client.serverReflectionInfo(ask()))).map(
      (answer) => answer.messageResponse,
    );
    expect(answers[0]).toMatchObject({
      case: 'listServicesResponse',
      value: {
        service: expect.arrayContaining([
          expect.objectContaining({ name: 'zitadel.management.v1.ManagementService' }),
          expect.objectContaining({ name: 'grpc.health.v1.Health' }),
        ]),
      },
    });
    // As they are published, with the methods that are not implemented. Bytes are many to show where they differ.
    const files = answers.slice(1, 4).map((answer) => {
      if (answer.case !== 'fileDescriptorResponse') throw new Error(`answered with ${answer.case}`);
      return Buffer.concat(answer.value.fileDescriptorProto);
    });
    const published = [ManagementService.file, ErrorDetailSchema.file, file_zitadel_object].map(({ proto }) =>
      toBinary(FileDescriptorProtoSchema, proto),
    );
    expect(files.map((file, index) => file.equals(published[index] ?? Buffer.alloc(0)))).toEqual([
      true,
      true,
      true,
    ]);
    expect(answers.slice(4).map((answer) => answer.case)).toEqual(['errorResponse']);
  });

  it('answers a method or service that is not there with UNIMPLEMENTED', async () => {
    const { url } = await runningService();
    expect(await rawGrpc(url, '/no.such.Service/Method', '', Buffer.alloc(5))).toBe(
      String(Code.Unimplemented),
    );
    expect(await rawGrpc(url, `${path}/ListProjects`, '', Buffer.alloc(5))).toBe(String(Code.Unimplemented));
  });

  it('takes a message in any pieces', async () => {
    const running = await runningService();
    const token = await adminToken(running);
    const message = grpcMessage(
      toBinary(GetUserByIDRequestSchema, create(GetUserByIDRequestSchema, { id: 'nobody' })),
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(message.length)), async (cuts) => {
        const ends = [...cuts.toSorted((a, b) => a - b), message.length];
        const pieces = ends.map((end, index) => message.subarray(ends[index - 1] ?? 0, end));
        expect(await rawGrpc(running.url, `${path}/GetUserByID`, token, pieces)).toBe(String(Code.NotFound));
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    ['no message', Buffer.alloc(0), {}, Code.Unimplemented],
    ['two messages', Buffer.alloc(10), {}, Code.Unimplemented],
    ['a message that is cut short', Buffer.from([0, 0, 0, 0, 4, 8, 1]), {}, Code.InvalidArgument],
    ['a message that is none', Buffer.from([0, 0, 0, 0, 1, 0xff]), {}, Code.Internal],
    ['a message that calls itself compressed', Buffer.from([1, 0, 0, 0, 2, 8, 1]), {}, Code.Internal],
    ['an unknown compression', Buffer.alloc(5), { 'grpc-encoding': 'x' }, Code.Unimplemented],
    ['an unreadable deadline', Buffer.alloc(5), { 'grpc-timeout': 'soon' }, Code.InvalidArgument],
  ])('refuses a call with %s', async (_, body, headers, code) => {
    const { url } = await runningService();
    expect(await rawGrpc(url, `${path}/Healthz`, '', body, headers)).toBe(String(code));
  });

  it('does nothing where the deadline has passed before the message was read', async () => {
    const running = await runningService();
    const { client, headers } = await grpcClient(running);
    const user = create(AddMachineUserRequestSchema, { userId: 'late', userName: 'late', name: 'Late' });
    const message = grpcMessage(toBinary(AddMachineUserRequestSchema, user));
    const deadline = { 'grpc-timeout': '1n' };
    const add = `${path}/AddMachineUser`;
    const [, token = ''] = headers.authorization.split(' ');
    expect(await rawGrpc(running.url, add, token, message, deadline)).toBe(String(Code.DeadlineExceeded));
    // Which would be done before any timer ends it.
    const healthz = rawGrpc(running.url, `${path}/Healthz`, '', Buffer.alloc(5), deadline);
    expect(await healthz).toBe(String(Code.DeadlineExceeded));
    await expect(client.getUserByID({ id: 'late' }, { headers })).rejects.toMatchObject({
      code: Code.NotFound,
    });
    expect(await rawGrpc(running.url, add, token, message)).toBe('0');
  });

  it('compresses a long answer for whoever takes that', async () => {
    const running = await runningService();
    const headers = { authorization: `Bearer ${await adminToken(running)}` };
    const encodings = await Promise.all(
      [[compressionGzip], []].map(async (acceptCompression) => {
        const transport = createGrpcTransport({ baseUrl: running.url, acceptCompression });
        let encoding: string | null = null;
        const onHeader = (received: Headers) => {
          encoding = received.get('grpc-encoding');
        };
        const { eventTypes } = await createClient(AdminService, transport).listEventTypes(
          {},
          { headers, onHeader },
        );
        expect(eventTypes.length).toBeGreaterThan(20);
        return encoding;
      }),
    );
    expect(encodings).toEqual(['gzip', null]);
  });

  it('takes a deadline that is longer than its own', async () => {
    const { client, headers } = await grpcClient(await runningService());
    const { org } = await client.getMyOrg({}, { headers, timeoutMs: 10 * limits.handling });
    expect(org?.name).toBe('Keyturn');
  });

  it('has the position of the log in its answers, as REST has', async () => {
    const running = await runningService();
    const token = await adminToken(running);
    let position: string | null = null;
    await createClient(ManagementService, createGrpcTransport({ baseUrl: running.url })).getMyOrg(
      {},
      {
        headers: { authorization: `Bearer ${token}` },
        onHeader: (headers) => {
          position = headers.get('x-keyturn-position');
        },
      },
    );
    expect(position).toMatch(/^\d+$/);
  });
});

test('a page of any origin may call, with the headers that ZITADEL allows', async () => {
  const { url } = await runningService();
  const preflight = await fetch(`${url}${path}/Healthz`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://example.com',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,x-zitadel-orgid,x-grpc-web',
    },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  const allowed = preflight.headers.get('access-control-allow-headers')?.split(/, */) ?? [];
  expect(allowed).toEqual(
    expect.arrayContaining([
      'origin',
      'content-type',
      'accept',
      'accept-language',
      'authorization',
      'x-zitadel-orgid',
      'x-user-agent',
      'x-grpc-web',
    ]),
  );
  const answer = await fetch(`${url}${path}/Healthz`, {
    method: 'POST',
    headers: { origin: 'https://example.com', 'content-type': 'application/grpc-web+proto' },
    body: Buffer.alloc(5),
  });
  expect(answer.headers.get('access-control-expose-headers')).toContain('grpc-status');
});
