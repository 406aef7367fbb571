/** Error codes of RFC 6749 section 5.2 that this server answers with, and `server_error` for its own faults. */
const statusOf = {
  invalid_request: 400,
  invalid_client: 401,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  server_error: 500,
  temporarily_unavailable: 503,
} as const;

export type OAuthErrorCode = keyof typeof statusOf;

/** An error that an OAuth endpoint answers. The description never tells one reason of `invalid_client` from another. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly httpStatus: number;

  constructor(code: OAuthErrorCode, description: string) {
    super(description);
    this.code = code;
    this.httpStatus = statusOf[code];
  }
}
