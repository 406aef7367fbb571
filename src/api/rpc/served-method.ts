import type { DescMethod, Message } from '@bufbuild/protobuf';
import type { ProvenRequest } from '../../application/dpop-proofs.ts';
import type { Origin } from '../../domain/event-metadata.ts';
import type { Authorizer, Caller } from '../authorization.ts';
import { compileFieldRules } from './field-rules.ts';
import type { RpcMethod, RpcService } from './method.ts';
import { requiredPermissionOf } from './method-options.ts';

export interface RpcRequest {
  readonly message: Message;
  /** A header of an HTTP request, or the same name in gRPC metadata. */
  readonly header: (name: string) => string | undefined;
  readonly responseHeaders: Headers;
  /** That the caller holds the key that its token is bound to. */
  readonly proof: ProvenRequest | undefined;
  readonly requestId: string;
  readonly origin: Origin;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Told who calls, as soon as that is known. */
  readonly onCaller: (caller: Caller) => void;
}

/** A method ready to be served: it takes the same steps in the same order on every protocol. */
export interface ServedMethod extends Omit<RpcMethod, 'handle'> {
  /** @throws KeyturnError what the authorization, a field rule or the method itself refuses */
  readonly call: (request: RpcRequest) => Promise<Message>;
}

export interface ServedService extends Omit<RpcService, 'methods'> {
  readonly methods: readonly ServedMethod[];
}

export function serveService(service: RpcService, authorizer: Authorizer): ServedService {
  return { ...service, methods: service.methods.map((method) => serveMethod(method, service, authorizer)) };
}

/** Puts authorization and field rules, in ZITADEL's order, before a method's implementation. */
function serveMethod(
  { handle, ...method }: RpcMethod,
  { scope }: RpcService,
  authorizer: Authorizer,
): ServedMethod {
  const required = requiredPermissionOf(method.descriptor);
  const checkFields = compileFieldRules(method.descriptor.input);

  return {
    ...method,
    async call({ message, header, responseHeaders, proof, requestId, origin, signal, onCaller }) {
      const credentials = {
        authorization: header('authorization'),
        'x-zitadel-orgid': header('x-zitadel-orgid'),
        proof,
      };
      const caller = await authorizer.authorize(required, credentials, scope);
      if (caller !== undefined) onCaller(caller);
      checkFields(message);
      if (caller === undefined) return handle(message, undefined);
      const editor = { userId: caller.userId, organizationId: caller.homeOrganizationId };
      const context = { editor, origin, correlationId: requestId, causationId: requestId, signal };
      return handle(message, { caller, context, requestHeader: header, responseHeaders });
    },
  };
}

/** As gRPC writes it, without the leading slash. */
export function nameOf(descriptor: DescMethod): string {
  return `${descriptor.parent.typeName}.${descriptor.name}`;
}
