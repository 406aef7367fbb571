import {
  fromJson,
  fromJsonString,
  type JsonObject,
  type JsonValue,
  type Message,
  mergeFromJson,
  toJson,
} from '@bufbuild/protobuf';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';
import { originOf } from '../../domain/event-metadata.ts';
import { type HttpRule, httpRuleOf } from '../rpc/method-options.ts';
import type { ServedMethod } from '../rpc/served-method.ts';
import { pathParametersOf, routeUrlOf } from './path-template.ts';

const jsonOptions = { ignoreUnknownFields: true } as const;

/**
 * Serves methods over HTTP and JSON as their `google.api.http` rules say: the proto3 JSON mapping, fields in the path
 * before those in the body, unknown fields ignored.
 *
 * The instance must be an encapsulated one: how bodies are parsed changes for all its routes.
 */
export function serveOverRest(
  app: FastifyInstance,
  basePath: string,
  methods: readonly ServedMethod[],
): void {
  app.removeAllContentTypeParsers();
  // Text: the protobuf parser reads it, strictly (it refuses duplicate keys) and without passing through objects.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  );

  for (const method of methods) {
    const rule = httpRuleOf(method.descriptor);
    const parameters = pathParametersOf(rule.path);
    app.route({
      method: rule.verb,
      url: basePath + routeUrlOf(rule.path),
      handler: async (request, reply) => {
        const message = readMessage(method, rule, parameters, request);
        const response = await method.call({
          message,
          credentials: {
            authorization: request.headers.authorization,
            'x-zitadel-orgid': singleHeader(request.headers['x-zitadel-orgid']),
          },
          requestId: request.id,
          origin: originOf(request.ip, request.headers['user-agent']),
          onCaller: ({ userId, organizationId }) => {
            request.log = request.log.child({ userId, organizationId });
          },
        });
        return reply
          .type('application/json')
          .send(JSON.stringify(toJson(method.descriptor.output, response)));
      },
    });
  }
}

/** @throws KeyturnError `REQUEST_UNREADABLE` */
function readMessage(
  { descriptor }: ServedMethod,
  rule: HttpRule,
  parameters: readonly string[],
  request: FastifyRequest,
): Message {
  const { input } = descriptor;
  const path = request.params as Readonly<Record<string, string>>;
  const fromPath: JsonObject = Object.fromEntries(parameters.map((name) => [name, path[name] ?? '']));
  try {
    const message =
      rule.body === '*'
        ? fromJsonString(input, (request.body as string | undefined) || '{}', jsonOptions)
        : fromJson(input, request.query as JsonValue, jsonOptions);
    return mergeFromJson(input, message, fromPath, jsonOptions);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KeyturnError('REQUEST_UNREADABLE', { text: `invalid request: ${reason}`, cause: error });
  }
}

function singleHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
