import { type Code, ConnectError } from '@connectrpc/connect';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import type { FastifyRequest } from 'fastify';
import { grpcCodes } from '../../domain/errors.ts';
import { toKeyturnError } from '../error-response.ts';

/** What a method throws, as gRPC, gRPC-web and Connect tell it. */
export function toConnectError(error: Error, request: FastifyRequest): ConnectError {
  const { id, text, message, grpcCode } = toKeyturnError(error, request);
  request.log = request.log.child({ grpcStatus: grpcCode });
  const details = id === undefined ? [] : [{ desc: ErrorDetailSchema, value: { id, message: text } }];
  return new ConnectError(message, grpcCodes[grpcCode] as Code, undefined, details);
}
