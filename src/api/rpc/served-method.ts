import type { DescMethodUnary, Message } from '@bufbuild/protobuf';
import type { Origin } from '../../domain/event-metadata.ts';
import type { Authorizer, Caller, Credentials } from '../authorization.ts';
import { compileFieldRules } from './field-rules.ts';
import type { RpcMethod } from './method.ts';
import { requiredPermissionOf } from './method-options.ts';

export interface RpcRequest {
  readonly message: Message;
  readonly credentials: Credentials;
  readonly requestId: string;
  readonly origin: Origin;
  /** Told who calls, as soon as that is known. */
  readonly onCaller: (caller: Caller) => void;
}

/** A method ready to be served: it takes the same steps in the same order on every protocol. */
export interface ServedMethod {
  readonly descriptor: DescMethodUnary;
  /** @throws KeyturnError what the authorization, a field rule or the method itself refuses */
  readonly call: (request: RpcRequest) => Promise<Message>;
}

/** Puts authorization and field rules, in ZITADEL's order, before a method's implementation. */
export function serveMethod({ descriptor, handle }: RpcMethod, authorizer: Authorizer): ServedMethod {
  const required = requiredPermissionOf(descriptor);
  const checkFields = compileFieldRules(descriptor.input);

  return {
    descriptor,
    async call({ message, credentials, requestId, origin, onCaller }) {
      const caller = await authorizer.authorize(required, credentials);
      if (caller !== undefined) onCaller(caller);
      checkFields(message);
      return handle(message, caller && { caller, context: contextOf(caller, requestId, origin) });
    },
  };
}

function contextOf({ userId, homeOrganizationId }: Caller, requestId: string, origin: Origin) {
  const editor = { userId, organizationId: homeOrganizationId };
  return { editor, origin, correlationId: requestId, causationId: requestId };
}
