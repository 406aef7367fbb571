import type { DescField } from '@bufbuild/protobuf';
import { oauthPaths } from '../oauth/oauth-paths.ts';
import { pathParametersOf } from '../rest/path-template.ts';
import { type HttpRule, httpRuleOf, requiredPermissionOf } from '../rpc/method-options.ts';
import { nameOf, type ServedMethod, type ServedService } from '../rpc/served-method.ts';
import { eventLogPathItems } from './event-log-operations.ts';
import { type JsonSchema, JsonSchemas } from './json-schema.ts';
import { oauthPathItems } from './oauth-operations.ts';
import { answer, errorResponses } from './operation.ts';

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

/** The OpenAPI 3.1 document of all that is served over HTTP: methods are described by the descriptors that their routes are made from. */
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
      { name: 'Event log', description: 'The events as they happen, and the head of their log.' },
    ],
    paths: { ...paths, ...oauthPathItems, ...eventLogPathItems },
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
  const inPath = new Set(pathParametersOf(rule.path));
  const query = rule.body === '' ? descriptor.input.fields.filter((field) => !inPath.has(field.name)) : [];
  const parameterOf = (field: DescField, place: 'path' | 'query') => ({
    name: place === 'path' ? field.name : field.jsonName,
    in: place,
    required: place === 'path',
    schema: schemas.ofField(field),
  });
  return {
    operationId: nameOf(descriptor),
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
      '200': answer('done', schemas.referenceTo(descriptor.output)),
      ...errorResponses,
    },
  };
}
