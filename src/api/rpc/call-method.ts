import type { Message } from '@bufbuild/protobuf';
import type { FastifyRequest } from 'fastify';
import { originOf } from '../../domain/event-metadata.ts';
import { provenRequestOf } from '../presented-access-token.ts';
import { singleHeader } from '../single-header.ts';
import type { RpcRequest, ServedMethod } from './served-method.ts';

/** Calls a method, with what a request of any protocol says beside its message. */
export function callMethod(
  method: ServedMethod,
  call: Pick<RpcRequest, 'message' | 'responseHeaders' | 'signal'>,
  request: FastifyRequest,
): Promise<Message> {
  return method.call({
    ...call,
    header: (name) => singleHeader(request.headers[name]),
    proof: provenRequestOf(request),
    requestId: request.id,
    origin: originOf(request.remoteAddress, request.headers['user-agent']),
    onCaller: ({ userId, organizationId }) => {
      request.log = request.log.child({ userId, organizationId });
    },
  });
}
