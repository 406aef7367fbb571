import { type Code, ConnectError } from '@connectrpc/connect';
import type { FastifyRequest } from 'fastify';
import { ErrorDetailSchema } from '#generated/zitadel/message_pb.js';
import { grpcCodes } from '../../domain/errors.ts';
import { toKeyturnError } from '../error-response.ts';

/** What a method throws, as gRPC, gRPC-web and Connect tell it. */
export function toConnectError(error: Error, request: FastifyRequest): ConnectError {
  const { id, text, message, grpcCode } = toKeyturnError(error, request);
  request.log = request.log.child({ grpcStatus: grpcCode });
  const details = id === undefined ? [] : [{ desc: ErrorDetailSchema, value: { id, message: text } }];
  return new ConnectError(message, grpcCodes[grpcCode] as Code, undefined, details);
}
