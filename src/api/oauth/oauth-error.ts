import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { knownErrorOf } from '../error-response.ts';

/**
 * Error codes that the OAuth endpoints answer with: RFC 6749 section 5.2, RFC 6750 section 3.1, RFC 7009 section 2.2.1;
 * `server_error` and `temporarily_unavailable` for what is no fault of the client. `docs/errors.md` shows them.
 */
export const oauthErrorStatus = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  unsupported_token_type: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  temporarily_unavailable: 503,
  server_error: 500,
} as const;

export type OAuthErrorCode = keyof typeof oauthErrorStatus;

/** An error that an OAuth endpoint answers. The description never tells one reason of `invalid_client` from another. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly httpStatus: number;

  constructor(code: OAuthErrorCode, description: string) {
    super(description);
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
  const challenge = challengeOf(known, request);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  if (known.code === 'temporarily_unavailable') reply.header('retry-after', '1');
  return reply
    .code(known.httpStatus)
    .header('cache-control', 'no-store')
    .header('pragma', 'no-cache')
    .send({ error: known.code, error_description: known.message });
}

/** RFC 6749 section 5.2 for clients; RFC 6750 section 3 for tokens, without a code for a request that has none. */
function challengeOf({ code, message }: OAuthError, request: FastifyRequest): string | undefined {
  if (code === 'invalid_client') return 'Basic realm="keyturn", charset="UTF-8"';
  if (code !== 'invalid_token' && code !== 'insufficient_scope') return undefined;
  const reason = `, error="${code}", error_description="${message}"`;
  return `Bearer realm="keyturn"${request.headers.authorization === undefined ? '' : reason}`;
}

function toOAuthError(error: FastifyError | Error, request: FastifyRequest): OAuthError {
  if (error instanceof OAuthError) return error;
  const known = knownErrorOf(error);
  if (known?.grpcCode === 'UNAVAILABLE') {
    request.log.error({ err: known.cause ?? known }, known.message);
    return new OAuthError('temporarily_unavailable', known.text);
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
