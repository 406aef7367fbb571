import type { FastifyError, FastifyRequest } from 'fastify';
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

/** Any error as one that a caller may see. What is not foreseen is logged and shown as `INTERNAL`, without its text. */
export function toKeyturnError(error: FastifyError | Error, request: FastifyRequest): KeyturnError {
  const known = knownErrorOf(error);
  if (known !== undefined) {
    if (known.httpStatus >= 500) request.log.error({ err: known.cause ?? known }, known.message);
    return known;
  }
  if ('statusCode' in error && error.statusCode !== undefined && error.statusCode < 500) {
    // Its text may repeat what was sent, and that may be a secret.
    return new KeyturnError('REQUEST_UNREADABLE');
  }
  request.log.error({ err: error }, 'unexpected error');
  return new KeyturnError('INTERNAL');
}
