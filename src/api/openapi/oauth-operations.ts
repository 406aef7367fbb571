import { oauthErrorStatus } from '../oauth/oauth-error.ts';
import { oauthPaths } from '../oauth/oauth-paths.ts';
import { assertionType } from '../oauth/presented-client.ts';
import { grantTypes } from '../oauth/token-endpoint.ts';
import type { JsonSchema } from './json-schema.ts';
import { answer, type Paths } from './operation.ts';

const text: JsonSchema = { type: 'string' };
const secret: JsonSchema = { type: 'string', format: 'password' };
const seconds: JsonSchema = { type: 'integer', description: 'in seconds since 1970' };

/** What a client says in the form of itself, instead of HTTP Basic (RFC 6749 section 2.3.1, RFC 7523 section 2.2). */
const clientInForm: Record<string, JsonSchema> = {
  client_id: text,
  client_secret: secret,
  client_assertion_type: { type: 'string', const: assertionType },
  client_assertion: secret,
};

const refused = {
  '4XX': answer('refused: `error` and `error_description` tell why', {
    type: 'object',
    required: ['error', 'error_description'],
    properties: {
      error: { type: 'string', enum: Object.keys(oauthErrorStatus) },
      error_description: text,
    },
  }),
};

const metadata: JsonSchema = {
  type: 'object',
  required: ['issuer', 'token_endpoint', 'jwks_uri'],
  properties: { issuer: text, token_endpoint: text, jwks_uri: text },
};

const subject: JsonSchema = { type: 'object', required: ['sub'], properties: { sub: text } };

/** The authorization server's endpoints. */
export const oauthPathItems: Paths = {
  [oauthPaths.token]: {
    post: {
      operationId: 'token',
      tags: ['OAuth'],
      summary: 'Token endpoint',
      description:
        'Client credentials (RFC 6749 section 4.4) by HTTP Basic, the form or a signed assertion (RFC 7523), and the JWT ' +
        'profile grant. With a `DPoP` header the token is bound to its key (RFC 9449).',
      security: [{ clientBasic: [] }, {}],
      parameters: [{ name: 'DPoP', in: 'header', required: false, schema: text }],
      requestBody: form(['grant_type'], {
        grant_type: { type: 'string', enum: Object.values(grantTypes) },
        scope: text,
        resource: {
          type: 'array',
          items: { type: 'string', format: 'uri' },
          description: 'for the audience (RFC 8707); the parameter is repeated',
        },
        assertion: { ...secret, description: `of the grant \`${grantTypes.jwtBearer}\`` },
        ...clientInForm,
      }),
      responses: {
        '200': answer('an access token', {
          type: 'object',
          required: ['access_token', 'token_type', 'expires_in'],
          properties: {
            access_token: text,
            token_type: { type: 'string', enum: ['Bearer', 'DPoP'] },
            expires_in: { type: 'integer', description: 'in seconds' },
            scope: { type: 'string', description: 'where it differs from the one asked for' },
            id_token: { type: 'string', description: 'with the scope openid' },
          },
        }),
        ...refused,
      },
    },
  },
  [oauthPaths.introspection]: {
    post: {
      operationId: 'introspect',
      tags: ['OAuth'],
      summary: 'Token introspection (RFC 7662)',
      description: 'Of tokens that are the client’s own, or have it in their audience.',
      security: [{ clientBasic: [] }, {}],
      requestBody: form(['token'], { token: secret, token_type_hint: text, ...clientInForm }),
      responses: {
        '200': answer('whether the token is alive, and what it says', {
          type: 'object',
          required: ['active'],
          properties: {
            active: { type: 'boolean' },
            iss: text,
            sub: text,
            aud: { type: 'array', items: text },
            client_id: text,
            username: text,
            scope: text,
            token_type: text,
            iat: seconds,
            nbf: seconds,
            exp: seconds,
            jti: text,
          },
        }),
        ...refused,
      },
    },
  },
  [oauthPaths.revocation]: {
    post: {
      operationId: 'revoke',
      tags: ['OAuth'],
      summary: 'Token revocation (RFC 7009)',
      security: [{ clientBasic: [] }, {}],
      requestBody: form(['token'], { token: secret, token_type_hint: text, ...clientInForm }),
      responses: { '200': { description: 'the token is not alive' }, ...refused },
    },
  },
  [oauthPaths.userinfo]: Object.fromEntries(
    (['get', 'post'] as const).map((verb) => [
      verb,
      {
        operationId: `userinfo.${verb}`,
        tags: ['OAuth'],
        summary: 'Userinfo (OpenID Connect Core 1.0 section 5.3)',
        description: 'Needs the scope `openid`.',
        security: [{ accessToken: [] }],
        responses: { '200': answer('what the scopes of the token let its holder know', subject), ...refused },
      },
    ]),
  ),
  [oauthPaths.jwks]: {
    get: published('jwks', 'The public keys that verify tokens (RFC 7517)', {
      type: 'object',
      required: ['keys'],
      properties: { keys: { type: 'array', items: { type: 'object' } } },
    }),
  },
  [oauthPaths.authorizationServer]: {
    get: published('authorizationServerMetadata', 'Authorization server metadata (RFC 8414)', metadata),
  },
  [oauthPaths.openidConfiguration]: {
    get: published('openidConfiguration', 'OpenID Connect Discovery 1.0', metadata),
  },
};

function form(required: readonly string[], properties: Record<string, JsonSchema>) {
  const schema = { type: 'object', required, properties };
  return { required: true, content: { 'application/x-www-form-urlencoded': { schema } } };
}

function published(operationId: string, summary: string, schema: JsonSchema) {
  return {
    operationId,
    tags: ['OAuth'],
    summary,
    security: [],
    responses: { '200': answer('for anyone', schema), ...refused },
  };
}
