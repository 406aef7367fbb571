import { connect, constants } from 'node:http2';
import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { createServerTransport } from '@zitadel/client/node';
import { createClientTransport } from '@zitadel/client/web';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import { httpRuleOf } from '../../src/api/rpc/method-options.ts';

/** What a call gave, in the same form for every protocol. */
export type Outcome =
  | { readonly answer: JsonValue; readonly etag?: string }
  | { readonly code: string; readonly message: string; readonly id?: string; readonly etag?: string };

export interface Call {
  readonly service: DescService;
  readonly method: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Caller = (call: Call) => Promise<Outcome>;

/** The clients that people use, each as a function that makes one call. */
export const rpcClients: Readonly<Record<string, (url: string, token: string) => Caller>> = {
  'HTTP and JSON': restCaller,
  '@zitadel/client over gRPC': (url, token) =>
    transportCaller(createServerTransport(token, { baseUrl: url })),
  '@zitadel/client over gRPC-web': (url, token) =>
    transportCaller(createClientTransport(token, { baseUrl: url })),
  '@connectrpc/connect-node over HTTP/1.1': (url, token) =>
    transportCaller(createConnectTransport({ baseUrl: url, httpVersion: '1.1' }), token),
  '@connectrpc/connect-node over HTTP/2': (url, token) =>
    transportCaller(createConnectTransport({ baseUrl: url, httpVersion: '2' }), token),
  '@grpc/grpc-js': grpcCaller,
};

function transportCaller(transport: Transport, token?: string): Caller {
  return async ({ service, method, request, headers = {} }) => {
    const descriptor = methodOf(service, method);
    const client = createClient(service, transport) as unknown as Record<string, CallableFunction>;
    let etag: string | undefined;
    const options = {
      headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      onHeader: (received: Headers) => {
        etag = received.get('etag') ?? undefined;
      },
    };
    try {
      const response = await client[descriptor.localName]?.(request, options);
      return { answer: toJson(descriptor.output, response), ...(etag && { etag }) };
    } catch (error) {
      const known = ConnectError.from(error);
      const [detail] = known.findDetails(ErrorDetailSchema);
      return outcomeOfError(
        Code[known.code],
        known.rawMessage,
        detail?.id,
        etag ?? known.metadata.get('etag'),
      );
    }
  };
}

function grpcCaller(url: string, token: string): Caller {
  return ({ service, method, request, headers = {} }) => {
    const descriptor = methodOf(service, method);
    const client = new Client(new URL(url).host, credentials.createInsecure());
    const metadata = new Metadata();
    for (const [name, value] of Object.entries({ ...headers, authorization: `Bearer ${token}` })) {
      metadata.set(name, value);
    }
    return new Promise((resolve) => {
      let etag: string | undefined;
      client
        .makeUnaryRequest(
          `/${service.typeName}/${descriptor.name}`,
          () => Buffer.from(toBinary(descriptor.input, create(descriptor.input, request))),
          (bytes: Buffer) => fromBinary(descriptor.output, bytes),
          {},
          metadata,
          (error: ServiceError | null, response) => {
            client.close();
            if (error === null && response !== undefined) {
              resolve({ answer: toJson(descriptor.output, response), ...(etag && { etag }) });
              return;
            }
            const code = status[error?.code ?? 2];
            resolve(outcomeOfError(code ?? '', error?.details ?? '', idInStatus(error?.metadata), etag));
          },
        )
        .on('metadata', (received) => {
          etag = received.get('etag')[0]?.toString();
        });
    });
  };
}

function idInStatus(metadata: Metadata | undefined): string | undefined {
  const bytes = metadata?.get('grpc-status-details-bin')[0];
  if (!(bytes instanceof Buffer)) return undefined;
  const headers = { 'grpc-status': '2', 'grpc-status-details-bin': bytes.toString('base64') };
  return findTrailerError(new Headers(headers))?.findDetails(ErrorDetailSchema)[0]?.id;
}

function restCaller(url: string, token: string): Caller {
  return async ({ service, method, request, headers = {} }) => {
    const descriptor = methodOf(service, method);
    const rule = restRuleOf(service, descriptor);
    const body = toJson(descriptor.input, create(descriptor.input, request)) as Record<string, string>;
    const path = rule.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const field = descriptor.input.fields.find((one) => one.name === name);
      return encodeURIComponent(body[field?.jsonName ?? ''] ?? '');
    });
    const query = rule.body === '' ? `?${new URLSearchParams(body)}` : '';
    const response = await fetch(`${url}${path}${query}`, {
      method: rule.verb,
      headers: {
        ...headers,
        authorization: `Bearer ${token}`,
        ...(rule.body === '*' && { 'content-type': 'application/json' }),
      },
      ...(rule.body === '*' && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as never;
    const etag = response.headers.get('etag') ?? undefined;
    if (response.ok) return { answer, ...(etag && { etag }) };
    const { code, message, details } = answer as {
      code: number;
      message: string;
      details?: { id: string }[];
    };
    return outcomeOfError(status[code] ?? '', message, details?.[0]?.id, etag);
  };
}

const basePaths: Readonly<Record<string, string>> = {
  'zitadel.management.v1.ManagementService': '/management/v1',
  'zitadel.admin.v1.AdminService': '/admin/v1',
};

/** ZITADEL's paths for the methods whose published descriptors leave them out. */
const restRules: Readonly<Record<string, { verb: string; path: string; body: string }>> = {
  CreateUser: { verb: 'POST', path: '/v2/users/new', body: '*' },
  UpdateUser: { verb: 'PATCH', path: '/v2/users/{user_id}', body: '*' },
  AddSecret: { verb: 'POST', path: '/v2/users/{user_id}/secret', body: '*' },
  RemoveSecret: { verb: 'DELETE', path: '/v2/users/{user_id}/secret', body: '' },
};

function restRuleOf(service: DescService, descriptor: DescMethodUnary) {
  const rule = httpRuleOf(descriptor) ?? restRules[descriptor.name];
  if (rule === undefined) throw new Error(`${descriptor.name} has no path`);
  return { ...rule, path: (basePaths[service.typeName] ?? '') + rule.path };
}

function methodOf(service: DescService, name: string): DescMethodUnary {
  const descriptor = service.methods.find((method) => method.name === name);
  if (descriptor?.methodKind !== 'unary')
    throw new Error(`${name} is no unary method of ${service.typeName}`);
  return descriptor as DescMethodUnary;
}

function outcomeOfError(code: string, message: string, id?: string, etag?: string | null): Outcome {
  const name = code.replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase();
  return {
    code: name === 'CANCELED' ? 'CANCELLED' : name,
    message,
    ...(id !== undefined && { id }),
    ...(etag && { etag }),
  };
}

/**
 * Sends the raw bytes of a gRPC request, each of its pieces after the last has left.
 *
 * @returns the status that they were answered with; undefined: the stream was reset
 */
export async function rawGrpc(
  url: string,
  path: string,
  token: string,
  body: Uint8Array | readonly Uint8Array[],
  headers: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  const session = connect(url);
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
        ...headers,
      });
      let grpcStatus: string | undefined;
      const note = (headers: Record<string, unknown>) => {
        if (headers['grpc-status'] !== undefined) grpcStatus = String(headers['grpc-status']);
      };
      stream.on('response', note).on('trailers', note);
      stream.on('error', () => resolve(undefined));
      stream.on('close', () =>
        resolve(stream.rstCode === constants.NGHTTP2_NO_ERROR ? grpcStatus : undefined),
      );
      stream.resume();
      const [first, ...others] = [body].flat();
      const send = (piece: Uint8Array | undefined): void => {
        const next = others.shift();
        if (next === undefined) stream.end(piece);
        else stream.write(piece, () => send(next));
      };
      send(first);
    });
  } finally {
    session.destroy();
  }
}
