import type { DescField } from '@bufbuild/protobuf';
import { oauthPaths } from '../oauth/metadata.ts';
import { type HttpRule, httpRuleOf, requiredPermissionOf } from '../rpc/method-options.ts';
import type { ServedMethod, ServedService } from '../rpc/served-method.ts';
import { type JsonSchema, JsonSchemas } from './json-schema.ts';

const errorSchema: JsonSchema = {
  type: 'object',
  required: ['code', 'message'],
  properties: {
    code: { type: 'integer', format: 'int32', description: 'code of gRPC' },
    message: { type: 'string' },
    details: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          '@type': { type: 'string' },
          id: { type: 'string' },
          message: { type: 'string' },
        },
      },
    },
  },
};

const organizationHeader = {
  name: 'x-zitadel-orgid',
  in: 'header',
  required: false,
  description: "The organization that the call acts in. Default: the caller's own.",
  schema: { type: 'string' },
};

/** The OpenAPI 3.1 document of all that is served over REST, made from the same descriptors as the routes. */
export function openapiDocument(services: readonly ServedService[], issuer: string, version: string) {
  const schemas = new JsonSchemas();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const service of services) {
    for (const method of service.methods) {
      const rule = method.httpRule ?? httpRuleOf(method.descriptor);
      if (rule === undefined) continue;
      const path = service.basePath + rule.path;
      paths[path] = { ...paths[path], [rule.verb.toLowerCase()]: operation(method, rule, service, schemas) };
    }
  }
  paths[oauthPaths.token] = { post: tokenOperation };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keyturn',
      version,
      summary: 'Machine users and their client secrets, wire-compatible with ZITADEL.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: issuer }],
    tags: [
      ...services.map(({ descriptor: { typeName } }) => ({
        name: typeName,
        description: `The methods of the gRPC service \`${typeName}\`, over REST.`,
      })),
      { name: 'OAuth', description: 'The authorization server.' },
    ],
    paths,
    components: {
      schemas: { ...schemas.all, Error: errorSchema },
      securitySchemes: {
        accessToken: {
          type: 'oauth2',
          flows: {
            clientCredentials: {
              tokenUrl: issuer + oauthPaths.token,
              scopes: {
                'urn:zitadel:iam:org:project:id:zitadel:aud': 'call the management API',
                openid: 'no more than the token',
              },
            },
          },
        },
        clientBasic: { type: 'http', scheme: 'basic' },
      },
    },
  };
}

function operation(method: ServedMethod, rule: HttpRule, service: ServedService, schemas: JsonSchemas) {
  const { descriptor } = method;
  const required = requiredPermissionOf(descriptor);
  const inPath = new Set(Array.from(rule.path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name));
  const query = rule.body === '' ? descriptor.input.fields.filter((field) => !inPath.has(field.name)) : [];
  const parameterOf = (field: DescField, place: 'path' | 'query') => ({
    name: place === 'path' ? field.name : field.jsonName,
    in: place,
    required: place === 'path',
    schema: schemas.ofField(field),
  });
  return {
    operationId: `${descriptor.parent.typeName}.${descriptor.name}`,
    tags: [service.descriptor.typeName],
    summary: descriptor.name,
    ...(required.kind === 'permission' && {
      description: `Needs the permission \`${required.permission}\`.`,
    }),
    security: required.kind === 'none' ? [] : [{ accessToken: [] }],
    parameters: [
      ...descriptor.input.fields
        .filter((field) => inPath.has(field.name))
        .map((field) => parameterOf(field, 'path')),
      ...query.map((field) => parameterOf(field, 'query')),
      ...(required.kind === 'none' ? [] : [organizationHeader]),
    ],
    ...(rule.body === '*' && {
      requestBody: { content: { 'application/json': { schema: schemas.referenceTo(descriptor.input) } } },
    }),
    responses: {
      '200': {
        description: 'done',
        content: { 'application/json': { schema: schemas.referenceTo(descriptor.output) } },
      },
      '4XX': errorResponse('the caller, the request, or a rule stands in the way'),
      '5XX': errorResponse('the service cannot answer now'),
    },
  };
}

function errorResponse(description: string) {
  return {
    description,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  };
}

const tokenOperation = {
  operationId: 'token',
  tags: ['OAuth'],
  summary: 'Token endpoint',
  description:
    'The client credentials grant (RFC 6749 section 4.4), with HTTP Basic or credentials in the form.',
  security: [{ clientBasic: [] }, {}],
  requestBody: {
    required: true,
    content: {
      'application/x-www-form-urlencoded': {
        schema: {
          type: 'object',
          required: ['grant_type'],
          properties: {
            grant_type: { type: 'string', const: 'client_credentials' },
            scope: { type: 'string' },
            client_id: { type: 'string' },
            client_secret: { type: 'string', format: 'password' },
          },
        },
      },
    },
  },
  responses: {
    '200': {
      description: 'an access token',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['access_token', 'token_type', 'expires_in'],
            properties: {
              access_token: { type: 'string' },
              token_type: { type: 'string' },
              expires_in: { type: 'integer', description: 'in seconds' },
              scope: { type: 'string' },
            },
          },
        },
      },
    },
    '4XX': {
      description: 'refused (RFC 6749 section 5.2)',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['error'],
            properties: { error: { type: 'string' }, error_description: { type: 'string' } },
          },
        },
      },
    },
  },
};
