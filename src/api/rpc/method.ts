import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { CommandContext } from '../../application/command-handler.ts';
import type { Caller } from '../authorization.ts';

/** What a method's implementation knows about the call beside the request. */
export interface Call {
  readonly caller: Caller;
  readonly context: CommandContext;
}

/** One implementation of a method, which every protocol serves. */
export interface RpcMethod {
  readonly descriptor: DescMethodUnary;
  /** `call` is undefined for methods that need no caller. */
  readonly handle: (request: Message, call: Call | undefined) => Promise<Message>;
}

/** A method for authenticated callers. The permission that it needs stands in the descriptor. */
export function implement<Request extends DescMessage, Response extends DescMessage>(
  descriptor: DescMethodUnary<Request, Response>,
  handle: (request: MessageShape<Request>, call: Call) => Promise<MessageInitShape<Response>>,
): RpcMethod {
  return {
    descriptor,
    handle: async (request, call) => {
      if (call === undefined) throw new TypeError(`${descriptor.name} needs a caller`);
      return create(descriptor.output, await handle(request as MessageShape<Request>, call));
    },
  };
}

/** A method that anyone may call. */
export function implementPublic<Request extends DescMessage, Response extends DescMessage>(
  descriptor: DescMethodUnary<Request, Response>,
  handle: (request: MessageShape<Request>) => Promise<MessageInitShape<Response>>,
): RpcMethod {
  return {
    descriptor,
    handle: async (request) => create(descriptor.output, await handle(request as MessageShape<Request>)),
  };
}
