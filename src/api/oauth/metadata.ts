/** ZITADEL's paths. */
export const oauthPaths = {
  token: '/oauth/v2/token',
  jwks: '/oauth/v2/keys',
  openidConfiguration: '/.well-known/openid-configuration',
  authorizationServer: '/.well-known/oauth-authorization-server',
} as const;

/** Authorization server metadata (RFC 8414): what is true of this server, and nothing else. */
export function metadataDocument(issuer: string) {
  return {
    issuer,
    token_endpoint: issuer + oauthPaths.token,
    jwks_uri: issuer + oauthPaths.jwks,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    scopes_supported: ['openid', 'profile', 'email', 'phone', 'address'],
  };
}
