import type { DescService, Message } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import {
  createMethodUrl,
  type UniversalHandler,
  type UniversalServerResponse,
} from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';
import { withDeadline } from '../deadline.ts';
import { loadedWhenUsed } from '../loaded-when-used.ts';
import { positionHeader } from '../read-position.ts';
import { pathOf } from '../request-path.ts';
import { callMethod } from './call-method.ts';
import { toConnectError } from './connect-error.ts';
import { healthService } from './grpc-health.ts';
import { reflectionServices } from './grpc-reflection.ts';
import { isPlainGrpc, makeMessageReadable, type ReadBody, serveGrpcUnary } from './grpc-unary.ts';
import { publishedDescriptorOf } from './method.ts';
import type { ServedMethod, ServedService } from './served-method.ts';

export interface ConnectCallsOptions {
  readonly services: readonly ServedService[];
  readonly isReady: () => boolean;
  /** The same as in answers over REST. */
  readonly position: () => bigint;
  /** In bytes, of a message after it is decompressed. */
  readonly maxMessageBytes: number;
  /** In milliseconds: how long a call is worked on. A client's own deadline may be shorter. */
  readonly timeLimit: number;
  /** Aborts when the server begins to stop. */
  readonly closing: AbortSignal;
  /** Aborts when it waits no longer for streams of messages. */
  readonly stopping: AbortSignal;
}

/** Answers a call of a method of the service that is named. */
export type AnswerCall = (service: string, request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** The request of Fastify that a call came with. */
const requestKey = createContextKey<FastifyRequest | undefined>(undefined);

/** What speaks gRPC, gRPC-web and Connect. */
export function connectCalls(options: ConnectCallsOptions): AnswerCall {
  const { services, isReady, position, maxMessageBytes, timeLimit, closing, stopping } = options;
  const compressions = [compressionGzip, compressionBrotli];
  const routerOptions = {
    acceptCompression: compressions,
    readMaxBytes: maxMessageBytes,
    shutdownSignal: stopping,
  };
  const router = createConnectRouter(routerOptions);
  for (const service of services) router.service(service.descriptor, implementationOf(service, options));
  healthService(router, { services, isReady, closing });
  reflectionServices(router, services);

  const handlers = handlersByPath(router);
  const unimplemented = new Map(
    services.map((service) => [
      service.descriptor.typeName,
      loadedWhenUsed(async () => {
        const descriptor = await publishedDescriptorOf(service);
        return handlersByPath(createConnectRouter(routerOptions).service(descriptor, {}));
      }),
    ]),
  );
  const unaryMethods = new Map(
    services
      .flatMap(({ methods }) => methods)
      .map((method) => [createMethodUrl('/', method.descriptor), method]),
  );
  const grpcUnary = { maxMessageBytes, timeLimit, compressions, position };
  return async (service, request, reply) => {
    const path = pathOf(request);
    const method = isPlainGrpc(request) ? unaryMethods.get(path) : undefined;
    const read = method && (await serveGrpcUnary(method, request, reply, grpcUnary));
    if (read === 'served') return;
    const handle = handlers.get(path) ?? (await unimplemented.get(service)?.())?.get(path);
    if (handle === undefined) throw new KeyturnError('ROUTE_NOT_FOUND');
    await answer(handle, request, reply, read);
  };
}

function handlersByPath({ handlers }: ConnectRouter): ReadonlyMap<string, UniversalHandler> {
  return new Map(handlers.map((handler) => [handler.requestPath, handler]));
}

/** @param read what of the body was read already */
async function answer(
  handle: UniversalHandler,
  request: FastifyRequest,
  reply: FastifyReply,
  read: ReadBody | undefined,
): Promise<void> {
  const contextValues = createContextValues().set(requestKey, request);
  try {
    const universal = universalRequestFromNodeRequest(request.raw, reply.raw, undefined, contextValues);
    const response = await handle(read ? { ...universal, body: wholeBody(read, request.raw) } : universal);
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) reply.raw.setHeader(name, value);
    }
    await universalResponseToNodeResponse(withReadableMessage(response), reply.raw);
  } catch (error) {
    if (ConnectError.from(error).code === Code.Aborted) return;
    request.log.error({ err: error }, 'an answer could not be sent');
  }
}

async function* wholeBody(
  { chunks, isWhole }: ReadBody,
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  yield* chunks;
  if (!isWhole) yield* rest;
}

function withReadableMessage(response: UniversalServerResponse): UniversalServerResponse {
  const { trailer } = response;
  if (trailer === undefined) return response;
  return {
    ...response,
    // Asked for at the end, when the message is known.
    get trailer() {
      makeMessageReadable(trailer);
      return trailer;
    },
  };
}

function implementationOf(
  { methods }: ServedService,
  { position, timeLimit }: ConnectCallsOptions,
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
      callMethod(method, { message, responseHeaders: context.responseHeader, signal }, request),
    );
  } catch (error) {
    // Its own answer to a deadline or a cancellation.
    if (context.signal.aborted) throw context.signal.reason;
    throw toConnectError(error as Error, request);
  }
}
