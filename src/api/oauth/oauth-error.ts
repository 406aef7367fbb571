import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { TooManyAttemptsError } from '../../application/attempt-limits.ts';
import { DpopNonceError, InvalidDpopProofError } from '../../application/dpop-proofs.ts';
import { knownErrorOf, logFault } from '../error-response.ts';
import { readAccessToken } from '../presented-access-token.ts';

/**
 * Error codes that the OAuth endpoints answer with: RFC 6749 section 5.2, RFC 6750 section 3.1, RFC 7009 section 2.2.1,
 * RFC 8707 section 2, RFC 9449 sections 5 and 8; `slow_down` of RFC 8628 section 3.5, in its spirit, for too many failed attempts;
 * `server_error` and `temporarily_unavailable` for what is no fault of the client. `docs/errors.md` shows them.
 */
export const oauthErrorStatus = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  unsupported_token_type: 400,
  invalid_dpop_proof: 400,
  use_dpop_nonce: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  slow_down: 429,
  temporarily_unavailable: 503,
  server_error: 500,
} as const;

export type OAuthErrorCode = keyof typeof oauthErrorStatus;

/** An error that an OAuth endpoint answers. The description never tells one reason of `invalid_client` from another. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly httpStatus: number;
  /** In seconds. */
  readonly retryAfter: number | undefined;

  constructor(code: OAuthErrorCode, description: string, retryAfter?: number) {
    super(description);
    this.retryAfter = retryAfter;
    this.code = code;
    this.httpStatus = oauthErrorStatus[code];
  }
}

export function answerOAuthError(
  error: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const known = toOAuthError(error, request);
  const status = isRefusedProof(known) && presentsBoundToken(request) ? 401 : known.httpStatus;
  const challenge = status === 401 || status === 403 ? challengeOf(known, request) : undefined;
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  if (known.retryAfter !== undefined) reply.header('retry-after', String(known.retryAfter));
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('pragma', 'no-cache')
    .send({ error: known.code, error_description: known.message });
}

/** RFC 6749 section 5.2 for clients; RFC 6750 section 3 for tokens, without a code for a request that has none. */
function challengeOf({ code, message }: OAuthError, request: FastifyRequest): string {
  if (code === 'invalid_client') return 'Basic realm="keyturn", charset="UTF-8"';
  const reason = `, error="${code}", error_description="${message}"`;
  const scheme = presentsBoundToken(request) ? 'DPoP' : 'Bearer';
  return `${scheme} realm="keyturn"${request.headers.authorization === undefined ? '' : reason}`;
}

function isRefusedProof({ code }: OAuthError): boolean {
  return code === 'invalid_dpop_proof' || code === 'use_dpop_nonce';
}

/** At a protected resource, where the proof of a token is refused as the token would be (RFC 9449 section 7.1). */
function presentsBoundToken(request: FastifyRequest): boolean {
  return readAccessToken(request.headers.authorization)?.scheme === 'dpop';
}

function toOAuthError(error: FastifyError | Error, request: FastifyRequest): OAuthError {
  if (error instanceof OAuthError) return error;
  if (error instanceof InvalidDpopProofError) return new OAuthError('invalid_dpop_proof', error.message);
  if (error instanceof DpopNonceError) return new OAuthError('use_dpop_nonce', error.message);
  if (error instanceof TooManyAttemptsError) {
    request.log.warn('too many failed attempts');
    return new OAuthError('slow_down', error.message, error.retryAfter);
  }
  const known = knownErrorOf(error);
  if (known?.grpcCode === 'UNAVAILABLE') {
    logFault(known, request);
    return new OAuthError('temporarily_unavailable', known.text, 1);
  }
  if (known?.code === 'POSITION_INVALID') return new OAuthError('invalid_request', known.text);
  if ('code' in error && error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new OAuthError('invalid_request', 'the body must be application/x-www-form-urlencoded');
  }
  if ('statusCode' in error && error.statusCode !== undefined && error.statusCode < 500) {
    // Its own text may repeat what was sent, and that may be a secret.
    return new OAuthError('invalid_request', 'the body is not readable, or too large');
  }
  request.log.error({ err: error }, 'unexpected error');
  return new OAuthError('server_error', 'internal error');
}
