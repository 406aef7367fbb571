import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, grpcCodes, KeyturnError } from '../domain/errors.ts';

/** google.rpc.Status as JSON, the shape of every error of the management API. */
export interface ErrorBody {
  readonly code: number;
  readonly message: string;
  readonly details?: readonly { readonly '@type': string; readonly id: string; readonly message: string }[];
}

export function errorBodyOf(error: KeyturnError): ErrorBody {
  const body = { code: grpcCodes[error.grpcCode], message: error.message };
  if (error.id === undefined) return body;
  const detail = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: error.id, message: error.text };
  return { ...body, details: [detail] };
}

/** Answers a request that no method could take, in the form of its protocol. */
export function answerError(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const known = toKeyturnError(error, request);
  if (known.grpcCode === 'UNAVAILABLE') reply.header('retry-after', '1');
  if (request.headers['content-type']?.startsWith('application/grpc')) {
    answerGrpcError(known, request.headers['content-type'], reply);
    return;
  }
  if (known.grpcCode === 'UNAUTHENTICATED') reply.header('www-authenticate', challengeOf(known));
  reply.code(known.httpStatus).send(errorBodyOf(known));
}

/** RFC 6750 section 3, RFC 9449 section 7.1. */
function challengeOf({ code }: KeyturnError): string {
  if (code === 'DPOP_PROOF_INVALID') return 'DPoP realm="keyturn", error="invalid_dpop_proof"';
  if (code === 'DPOP_NONCE_NEEDED') return 'DPoP realm="keyturn", error="use_dpop_nonce"';
  return 'Bearer realm="keyturn"';
}

/** A gRPC answer without messages: the status stands in the headers ("Trailers-Only"). */
function answerGrpcError(error: KeyturnError, contentType: string, reply: FastifyReply): void {
  // A path that leads nowhere is a method that this server does not have.
  const code = error.code === 'ROUTE_NOT_FOUND' ? grpcCodes.UNIMPLEMENTED : grpcCodes[error.grpcCode];
  reply
    .code(200)
    .type(contentType)
    .headers({ 'grpc-status': String(code), 'grpc-message': encodeURI(error.message.toWellFormed()) })
    .send();
}

/** Of errors of Fastify and of the event store, by their codes. */
const errorCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'CONTENT_TYPE_UNSUPPORTED',
  FST_ERR_CTP_BODY_TOO_LARGE: 'REQUEST_TOO_LARGE',
  FST_ERR_BAD_URL: 'URL_UNREADABLE',
  EVENT_STORE_UNAVAILABLE: 'EVENT_STORE_UNAVAILABLE',
};

/** An error that this API knows, or undefined for one that nobody has foreseen. */
export function knownErrorOf(error: FastifyError | Error): KeyturnError | undefined {
  if (error instanceof KeyturnError) return error;
  const code = 'code' in error ? errorCodes[error.code] : undefined;
  return code && new KeyturnError(code, { cause: error });
}

/** Not an overload: whoever has too much to do must not do more for it. The line of the request tells of it. */
export function logFault(error: KeyturnError, request: FastifyRequest): void {
  if (error.code !== 'OVERLOADED') request.log.error({ err: error.cause ?? error }, error.message);
}

/** Any error as one that a caller may see. What is not foreseen is logged and shown as `INTERNAL`, without its text. */
export function toKeyturnError(error: FastifyError | Error, request: FastifyRequest): KeyturnError {
  const known = knownErrorOf(error);
  if (known !== undefined) {
    if (known.httpStatus >= 500) logFault(known, request);
    return known;
  }
  if ('statusCode' in error && error.statusCode !== undefined && error.statusCode < 500) {
    // Its text may repeat what was sent, and that may be a secret.
    return new KeyturnError('REQUEST_UNREADABLE');
  }
  request.log.error({ err: error }, 'unexpected error');
  return new KeyturnError('INTERNAL');
}
