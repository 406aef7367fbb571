import { assertionAlgorithms } from '../../application/client-assertions.ts';
import { dpopAlgorithms } from '../../application/dpop-proofs.ts';
import type { SigningKeyRing } from '../../application/signing-key-ring.ts';
import { oauthPaths } from './oauth-paths.ts';
import { grantTypes } from './token-endpoint.ts';

const authenticationMethods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];

/** Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0): what is true of this server, and nothing else. */
export function metadataDocument(issuer: string, keyRing: SigningKeyRing) {
  return {
    issuer,
    token_endpoint: issuer + oauthPaths.token,
    introspection_endpoint: issuer + oauthPaths.introspection,
    revocation_endpoint: issuer + oauthPaths.revocation,
    userinfo_endpoint: issuer + oauthPaths.userinfo,
    jwks_uri: issuer + oauthPaths.jwks,
    grant_types_supported: Object.values(grantTypes),
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [
      ...new Set(keyRing.published().map(({ algorithm }) => algorithm)),
    ],
    token_endpoint_auth_methods_supported: authenticationMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_endpoint_auth_methods_supported: authenticationMethods,
    introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: authenticationMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    dpop_signing_alg_values_supported: dpopAlgorithms,
    scopes_supported: [
      'openid',
      'profile',
      'email',
      'phone',
      'address',
      'urn:zitadel:iam:user:resourceowner',
    ],
    claims_supported: [
      'iss',
      'sub',
      'aud',
      'azp',
      'client_id',
      'iat',
      'exp',
      'auth_time',
      'amr',
      'at_hash',
      'jti',
      'name',
      'preferred_username',
      'updated_at',
    ],
  };
}
