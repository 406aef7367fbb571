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
import { withDeadline } from '../deadline.ts';
import { requestGone } from '../request-gone.ts';
import { callMethod } from '../rpc/call-method.ts';
import { type HttpRule, httpRuleOf } from '../rpc/method-options.ts';
import { nameOf, type ServedMethod, type ServedService } from '../rpc/served-method.ts';
import { pathParametersOf, routeUrlOf } from './path-template.ts';

export interface RestOptions {
  readonly services: readonly ServedService[];
  /** In milliseconds: how long a request is worked on. */
  readonly timeLimit: number;
}

const jsonOptions = { ignoreUnknownFields: true } as const;

/**
 * Serves a service over HTTP and JSON as its `google.api.http` rules say: the proto3 JSON mapping, fields in the path
 * before those in the body, unknown fields ignored.
 *
 * The instance must be an encapsulated one: how bodies are parsed changes for all its routes.
 */
export async function restRoutes(app: FastifyInstance, { services, timeLimit }: RestOptions): Promise<void> {
  app.removeAllContentTypeParsers();
  // Text: the protobuf parser reads it, strictly (it refuses duplicate keys) and without passing through objects.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  );
  for (const service of services) {
    for (const method of service.methods) {
      const rule = method.httpRule ?? httpRuleOf(method.descriptor);
      if (rule === undefined) throw new TypeError(`${nameOf(method.descriptor)} has no HTTP path`);
      serve(app, service.basePath, method, rule, timeLimit);
    }
  }
}

function serve(
  app: FastifyInstance,
  basePath: string,
  method: ServedMethod,
  rule: HttpRule,
  timeLimit: number,
): void {
  const parameters = pathParametersOf(rule.path);
  app.route({
    method: rule.verb,
    url: basePath + routeUrlOf(rule.path),
    handler: async (request, reply) => {
      const message = readMessage(method, rule, parameters, request);
      const responseHeaders = new Headers();
      const call = (signal: AbortSignal) => callMethod(method, { message, responseHeaders, signal }, request);
      const response = await withDeadline(timeLimit, requestGone(reply), call).finally(() => {
        for (const [name, value] of responseHeaders) reply.header(name, value);
      });
      const body = JSON.stringify(toJson(method.descriptor.output, response));
      return reply.type('application/json').send(body);
    },
  });
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
