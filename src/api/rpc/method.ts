import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { CommandContext } from '../../application/command-handler.ts';
import type { Caller } from '../authorization.ts';
import { type HttpRule, requiredPermissionOf } from './method-options.ts';

/** What a method's implementation knows about the call beside the request. */
export interface Call {
  readonly caller: Caller;
  readonly context: CommandContext;
  /** A header of an HTTP request, or the same name in gRPC metadata. */
  readonly requestHeader: (name: string) => string | undefined;
  /** Headers of the answer, also of an error, on every protocol. */
  readonly responseHeaders: Headers;
}

/** One implementation of a method, which every protocol serves. */
export interface RpcMethod {
  readonly descriptor: DescMethodUnary;
  /** Where the published descriptor has none. */
  readonly httpRule?: HttpRule;
  /** `call` is undefined for methods that need no caller. */
  readonly handle: (request: Message, call: Call | undefined) => Promise<Message>;
}

/** A service as far as it is implemented: its other methods answer that they are not. */
export interface RpcService {
  readonly descriptor: DescService;
  /** Loads the descriptor that has the other methods too, where there are others. */
  readonly publishedDescriptor?: () => Promise<DescService>;
  /** Of its REST paths, before what the descriptors say. */
  readonly basePath: string;
  /** What all of its REST paths begin with, those of methods that are not implemented too. Default: `basePath`. */
  readonly pathPrefix?: string;
  /** Whose roles count: those in the organization that the call acts in, or those in the whole instance alone. */
  readonly scope: 'organization' | 'instance';
  readonly methods: readonly RpcMethod[];
}

/** With the methods that are not implemented. */
export async function publishedDescriptorOf(
  service: Pick<RpcService, 'descriptor' | 'publishedDescriptor'>,
): Promise<DescService> {
  return (await service.publishedDescriptor?.()) ?? service.descriptor;
}

type Handle<Request extends DescMessage, Response extends DescMessage, Arguments extends unknown[]> = (
  request: MessageShape<Request>,
  ...call: Arguments
) => Promise<MessageInitShape<Response>>;

/**
 * A method for authenticated callers. The permission that it needs stands in the descriptor.
 *
 * @throws TypeError for a descriptor that lets anyone call
 */
export function implement<Request extends DescMessage, Response extends DescMessage>(
  descriptor: DescMethodUnary<Request, Response>,
  handle: Handle<Request, Response, [Call]>,
  httpRule?: HttpRule,
): RpcMethod {
  if (requiredPermissionOf(descriptor).kind === 'none') throw new TypeError(`${descriptor} needs no caller`);
  return {
    descriptor,
    ...(httpRule && { httpRule }),
    handle: async (request, call) => {
      if (call === undefined) throw new TypeError(`${descriptor} needs a caller`);
      return create(descriptor.output, await handle(request as MessageShape<Request>, call));
    },
  };
}

/** A method that anyone may call. Throws TypeError for a descriptor that asks for a permission. */
export function implementPublic<Request extends DescMessage, Response extends DescMessage>(
  descriptor: DescMethodUnary<Request, Response>,
  handle: Handle<Request, Response, []>,
): RpcMethod {
  if (requiredPermissionOf(descriptor).kind !== 'none') throw new TypeError(`${descriptor} needs a caller`);
  return {
    descriptor,
    handle: async (request) => create(descriptor.output, await handle(request as MessageShape<Request>)),
  };
}
