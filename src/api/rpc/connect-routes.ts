import type { DescService, Message } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { grpcCodes, KeyturnError } from '../../domain/errors.ts';
import { originOf } from '../../domain/event-metadata.ts';
import { withDeadline } from '../deadline.ts';
import { toKeyturnError } from '../error-response.ts';
import { provenRequestOf } from '../presented-access-token.ts';
import { positionHeader } from '../read-position.ts';
import { pathOf } from '../request-path.ts';
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
  /** In milliseconds: how long a call is worked on. A client's own deadline may be shorter. */
  readonly timeLimit: number;
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
  const { services, isReady, maxMessageBytes } = options;
  const descriptors = services.map((service) => service.descriptor);
  const closing = new AbortController();
  const stopping = new AbortController();
  app.addHook('preClose', async () => {
    closing.abort();
    setTimeout(() => stopping.abort(), shutdownPatience).unref();
  });
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: maxMessageBytes,
    shutdownSignal: stopping.signal,
  });
  for (const service of services) router.service(service.descriptor, implementationOf(service, options));
  healthService(router, { services: descriptors, isReady, closing: closing.signal });
  reflectionServices(router, descriptors);

  // What is sent is read by Connect, not by Fastify.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  // A route for each service, not for each of its methods: those are hundreds, and most are not implemented.
  for (const service of new Set(router.handlers.map((handler) => handler.service.typeName))) {
    app.post(`/${service}/:method`, async (request, reply) => {
      const handle = handlers.get(pathOf(request));
      if (handle === undefined) throw new KeyturnError('ROUTE_NOT_FOUND');
      await answer(handle, request, reply);
    });
  }
}

async function answer(handle: UniversalHandler, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const contextValues = createContextValues().set(requestKey, request);
  try {
    const response = await handle(
      universalRequestFromNodeRequest(request.raw, reply.raw, undefined, contextValues),
    );
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) reply.raw.setHeader(name, value);
    }
    await universalResponseToNodeResponse(withReadableMessage(response), reply.raw);
  } catch (error) {
    if (ConnectError.from(error).code === Code.Aborted) return;
    request.log.error({ err: error }, 'an answer could not be sent');
  }
}

/**
 * Connect escapes more of a `grpc-message` than gRPC asks for, commas and colons too, and `@grpc/grpc-js` does not read
 * those back: it would show `%2C` to people.
 */
function withReadableMessage(response: UniversalServerResponse): UniversalServerResponse {
  const { trailer } = response;
  if (trailer === undefined) return response;
  return {
    ...response,
    // Asked for at the end, when the message is known.
    get trailer() {
      const message = trailer.get('grpc-message');
      if (message !== null) trailer.set('grpc-message', encodeURI(decodeURIComponent(message)));
      return trailer;
    },
  };
}

function implementationOf(
  { methods }: ServedService,
  { position, timeLimit }: ConnectOptions,
): Partial<ServiceImpl<DescService>> {
  return Object.fromEntries(
    methods.map((method) => [
      method.descriptor.localName,
      (message: Message, context: HandlerContext) =>
        call(method, message, context, timeLimit).finally(() =>
          context.responseHeader.set(positionHeader, String(position())),
        ),
    ]),
  ) as unknown as Partial<ServiceImpl<DescService>>;
}

async function call(
  method: ServedMethod,
  message: Message,
  context: HandlerContext,
  timeLimit: number,
): Promise<Message> {
  const request = context.values.get(requestKey);
  if (request === undefined) throw new TypeError('a call without a request');
  try {
    return await withDeadline(timeLimit, context.signal, (signal) =>
      method.call({
        message,
        header: (name) => context.requestHeader.get(name) ?? undefined,
        responseHeaders: context.responseHeader,
        proof: provenRequestOf(request),
        requestId: request.id,
        origin: originOf(request.remoteAddress, request.headers['user-agent']),
        signal,
        onCaller: ({ userId, organizationId }) => {
          request.log = request.log.child({ userId, organizationId });
        },
      }),
    );
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
