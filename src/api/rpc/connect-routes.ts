import type { ServerResponse } from 'node:http';
import type { DescService, Message } from '@bufbuild/protobuf';
import {
  type Code,
  ConnectError,
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { grpcCodes, type KeyturnError } from '../../domain/errors.ts';
import { originOf } from '../../domain/event-metadata.ts';
import { toKeyturnError } from '../error-response.ts';
import { provenRequestOf } from '../presented-access-token.ts';
import { positionHeader } from '../read-position.ts';
import { healthService } from './grpc-health.ts';
import { reflectionServices } from './grpc-reflection.ts';
import type { ServedMethod, ServedService } from './served-method.ts';

export interface ConnectOptions {
  readonly services: readonly ServedService[];
  readonly isReady: () => boolean;
  /** The same as in answers over REST. */
  readonly position: () => bigint;
  /** In bytes, of a message after it is decompressed. */
  readonly maxMessageBytes: number;
  /** In milliseconds: a longer deadline of a client is cut to it. */
  readonly maxDeadline: number;
}

/** In milliseconds: how long calls under way may take to finish when the server stops. */
const shutdownPatience = 5000;

/** The request of Fastify that a call came with. */
const requestKey = createContextKey<FastifyRequest | undefined>(undefined);

/**
 * Serves services over gRPC, gRPC-web and Connect. Methods that are not implemented answer so, by name. With gRPC's
 * own services for health and reflection.
 */
export async function connectRoutes(app: FastifyInstance, options: ConnectOptions): Promise<void> {
  const { services, isReady, position, maxMessageBytes, maxDeadline } = options;
  const descriptors = services.map((service) => service.descriptor);
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort());
  app.addHook('onRequest', async (_request, reply) => readableMessages(reply.raw));
  await app.register(fastifyConnectPlugin, {
    routes: (router: ConnectRouter) => {
      for (const service of services) {
        router.service(service.descriptor, implementationOf(service, position));
      }
      healthService(router, { services: descriptors, isReady, closing: closing.signal });
      reflectionServices(router, descriptors);
    },
    contextValues: (request) => createContextValues().set(requestKey, request),
    readMaxBytes: maxMessageBytes,
    maxTimeoutMs: maxDeadline,
    shutdownTimeoutMs: shutdownPatience,
  });
}

/**
 * Connect escapes more of a `grpc-message` than gRPC asks for, commas and colons too, and `@grpc/grpc-js` does not read
 * those back: it would show `%2C` to people.
 */
function readableMessages(response: ServerResponse): void {
  const addTrailers = response.addTrailers.bind(response);
  response.addTrailers = (trailers) => {
    const { 'grpc-message': message, ...rest } = trailers as Record<string, string | undefined>;
    const readable = message === undefined ? {} : { 'grpc-message': encodeURI(decodeURIComponent(message)) };
    addTrailers({ ...(rest as Record<string, string>), ...readable });
  };
}

function implementationOf(
  { methods }: ServedService,
  position: () => bigint,
): Partial<ServiceImpl<DescService>> {
  return Object.fromEntries(
    methods.map((method) => [
      method.descriptor.localName,
      (message: Message, context: HandlerContext) =>
        call(method, message, context).finally(() =>
          context.responseHeader.set(positionHeader, String(position())),
        ),
    ]),
  ) as unknown as Partial<ServiceImpl<DescService>>;
}

async function call(method: ServedMethod, message: Message, context: HandlerContext): Promise<Message> {
  const request = context.values.get(requestKey);
  if (request === undefined) throw new TypeError('a call without a request');
  try {
    return await method.call({
      message,
      header: (name) => context.requestHeader.get(name) ?? undefined,
      responseHeaders: context.responseHeader,
      proof: provenRequestOf(request),
      requestId: request.id,
      origin: originOf(request.remoteAddress, request.headers['user-agent']),
      signal: context.signal,
      onCaller: ({ userId, organizationId }) => {
        request.log = request.log.child({ userId, organizationId });
      },
    });
  } catch (error) {
    // Its own answer to a deadline or a cancellation.
    if (context.signal.aborted) throw context.signal.reason;
    const known = toKeyturnError(error as Error, request);
    request.log = request.log.child({ grpcStatus: known.grpcCode });
    throw toConnectError(known);
  }
}

function toConnectError(error: KeyturnError): ConnectError {
  const details =
    error.id === undefined ? [] : [{ desc: ErrorDetailSchema, value: { id: error.id, message: error.text } }];
  return new ConnectError(error.message, grpcCodes[error.grpcCode] as Code, undefined, details);
}
