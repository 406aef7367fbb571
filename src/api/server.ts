import { randomUUID } from 'node:crypto';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { KeyturnError } from '../domain/errors.ts';
import type { AccessDirectory } from './authorization.ts';
import { Authorizer } from './authorization.ts';
import { errorBodyOf, toKeyturnError } from './error-response.ts';
import { type EventStreamDependencies, eventStreamRoutes } from './events/event-stream-routes.ts';
import { healthRoutes, type Readiness } from './health-routes.ts';
import { type MachineKeyMethodsOptions, machineKeyMethods } from './management/machine-key-methods.ts';
import { type ManagementDependencies, managementMethods } from './management/management-methods.ts';
import { methodNotAllowed } from './method-not-allowed.ts';
import type { OAuthDependencies } from './oauth/dependencies.ts';
import { oauthRoutes } from './oauth/oauth-routes.ts';
import { type ReadPosition, readPosition } from './read-position.ts';
import { serveOverRest } from './rest/rest-routes.ts';
import { serveMethod } from './rpc/served-method.ts';

export interface ServerDependencies {
  readonly management: ManagementDependencies & MachineKeyMethodsOptions;
  readonly oauth: OAuthDependencies;
  readonly access: AccessDirectory;
  readonly eventStream: Omit<EventStreamDependencies, 'authorizer'>;
  /** Until it is ready, all but the health routes answer 503. */
  readonly readiness: () => Readiness;
  readonly position: ReadPosition;
  readonly logger: FastifyBaseLogger;
}

/** In bytes: far more than any request of the management API needs. */
const bodyLimit = 256 * 1024;
/** In milliseconds: how long a request may take to arrive. */
const requestTimeout = 30_000;
/** In characters: longer than any id that field rules allow, so that those answer. */
const longestPathParameter = 4096;

/** The HTTP server with all its routes, not listening yet. */
export function createServer(dependencies: ServerDependencies): FastifyInstance {
  const { management, oauth, access, eventStream, readiness, position, logger } = dependencies;
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit,
    requestTimeout,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: longestPathParameter },
    frameworkErrors: answerError,
  });
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) =>
    answerError(new KeyturnError('ROUTE_NOT_FOUND'), request, reply),
  );
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
  });
  app.addHook('onResponse', logRequest);

  const completion = methodNotAllowed(app);
  app.register(healthRoutes, { readiness });
  app.register(async (serving) => {
    serving.addHook('onRequest', async () => {
      if (!readiness().isReady) throw new KeyturnError('NOT_READY');
    });
    readPosition(serving, position);
    const authorizer = new Authorizer(oauth.accessTokens, access);
    serving.register(oauthRoutes, oauth);
    serving.register(eventStreamRoutes, { ...eventStream, authorizer });
    serving.register(async (rest) => {
      const methods = [...managementMethods(management), ...machineKeyMethods(management)].map((method) =>
        serveMethod(method, authorizer),
      );
      serveOverRest(rest, '/management/v1', methods);
    });
  });
  app.register(completion);
  return app;
}

function answerError(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const known = toKeyturnError(error, request);
  if (known.grpcCode === 'UNAVAILABLE') reply.header('retry-after', '1');
  if (known.grpcCode === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="keyturn"');
  reply.code(known.httpStatus).send(errorBodyOf(known));
}

/** One line for each request. Without the query, where a careless client may have put a secret. */
async function logRequest(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  request.log.info(
    {
      method: request.method,
      path: request.url.split('?', 1)[0],
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      remoteAddress: request.ip,
    },
    'request',
  );
}
