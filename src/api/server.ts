import { randomUUID } from 'node:crypto';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { KeyturnError } from '../domain/errors.ts';
import { type AdminDependencies, adminService } from './admin/admin-service.ts';
import { type AuditTrail, auditService } from './audit/audit-service.ts';
import { checkpointRoutes, type PublishedCheckpoints } from './audit/checkpoint-routes.ts';
import { Authorizer } from './authorization.ts';
import { crossOriginHeaders, preflights } from './cross-origin.ts';
import { answerError } from './error-response.ts';
import { type EventStreamRoutesDependencies, eventStreamRoutes } from './events/event-stream-routes.ts';
import { healthRoutes, type Readiness } from './health-routes.ts';
import {
  type MachineSecretServiceDependencies,
  machineSecretService,
} from './keyturn/machine-secret-service.ts';
import {
  type OwnMachineUserServiceDependencies,
  ownMachineUserService,
} from './keyturn/machine-user-service.ts';
import {
  instanceSecretPolicyService,
  type SecretPolicyServiceDependencies,
  secretPolicyService,
} from './keyturn/secret-policy-service.ts';
import { type SigningKeyServiceDependencies, signingKeyService } from './keyturn/signing-key-service.ts';
import { type LeakDependencies, leakRoutes } from './leaks/leak-routes.ts';
import { createListener, type TlsCredentials } from './listener.ts';
import { type ManagementDependencies, managementService } from './management/management-service.ts';
import { methodNotAllowed } from './method-not-allowed.ts';
import type { OAuthDependencies } from './oauth/dependencies.ts';
import { oauthRoutes } from './oauth/oauth-routes.ts';
import { openapiRoutes } from './openapi/openapi-routes.ts';
import { type ReadPosition, readPosition } from './read-position.ts';
import { RequestLog } from './request-log.ts';
import { pathOf } from './request-path.ts';
import { restRoutes } from './rest/rest-routes.ts';
import { unimplementedMethods } from './rest/unimplemented-methods.ts';
import { connectRoutes } from './rpc/connect-routes.ts';
import { serveService } from './rpc/served-method.ts';
import { type UserServiceDependencies, userService } from './user-v2/user-service.ts';
import { type WebhookDependencies, webhookService } from './webhooks/webhook-service.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the peer that the request came from. */
    remoteAddress: string;
  }
}

export interface ServerDependencies {
  readonly services: ManagementDependencies &
    AdminDependencies &
    Omit<UserServiceDependencies, 'authorizer'> &
    OwnMachineUserServiceDependencies &
    MachineSecretServiceDependencies &
    SecretPolicyServiceDependencies &
    SigningKeyServiceDependencies;
  readonly oauth: OAuthDependencies;
  readonly webhooks: WebhookDependencies;
  readonly audit: AuditTrail;
  readonly checkpoints: PublishedCheckpoints;
  readonly leaks: LeakDependencies;
  readonly eventStream: Omit<EventStreamRoutesDependencies, 'authorizer'>;
  /** Until it is ready, all but the health routes answer 503. */
  readonly readiness: () => Readiness;
  readonly position: ReadPosition;
  readonly logger: Logger;
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** With it the port speaks TLS only. */
  readonly tls?: TlsCredentials | undefined;
  /** Of Keyturn. */
  readonly version: string;
}

/** What a request may cost. `docs/operations.md` lists the same. */
export const limits = {
  /** Of a request's body, or of a gRPC message after it is decompressed, in bytes: far more than any method needs. */
  bodyBytes: 256 * 1024,
  /** How many headers a request may have. */
  headers: 100,
  /** In milliseconds: how long a request may take to arrive. */
  arrival: 30_000,
  /** In milliseconds: how long a request is worked on. A client's own deadline may be shorter. */
  handling: 30_000,
  /** In milliseconds: how long a connection without a request is kept. */
  idle: 72_000,
  /** How many requests one HTTP/2 connection may have under way. */
  concurrentStreams: 100,
  /** In characters: longer than any id that field rules allow, so that those answer. */
  pathParameter: 4096,
} as const;

const headersOfAllAnswers = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  ...crossOriginHeaders,
} as const;

/** No route has a schema: what would compile them, a tenth of the files that a start would load, is not loaded. */
const noCompilers = {
  buildValidator: () => refuseSchema,
  buildSerializer: () => refuseSchema,
};

function refuseSchema(): never {
  throw new Error('routes have no schemas');
}

/** The HTTP server with all its routes, not listening yet. */
export function createServer(dependencies: ServerDependencies): FastifyInstance {
  const {
    services,
    oauth,
    webhooks,
    audit,
    checkpoints,
    leaks,
    eventStream,
    readiness,
    position,
    logger,
    trustedProxies,
    tls,
    version,
  } = dependencies;
  const isReady = () => readiness().isReady;
  const app: FastifyInstance = fastify({
    loggerInstance: logger as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    serverFactory: (handler) =>
      createListener(handler, {
        tls,
        requestTimeout: limits.arrival,
        idleTimeout: limits.idle,
        maxConcurrentStreams: limits.concurrentStreams,
      }),
    childLoggerFactory: (_parent, fields) => new RequestLog(logger, fields),
    genReqId: () => randomUUID(),
    bodyLimit: limits.bodyBytes,
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: limits.pathParameter },
    schemaController: { compilersFactory: noCompilers },
    frameworkErrors: answerError,
  });
  app.setErrorHandler(answerError);
  app.decorateRequest('remoteAddress', '');
  // Hooks take callbacks where they wait for nothing: an async one costs each request a promise and a turn of its queue.
  app.addHook('onRequest', (request, reply, done) => {
    // Kept: a connection that is gone when the answer is logged does not tell it any more.
    request.remoteAddress = request.ip;
    reply.header('x-request-id', request.id).headers(headersOfAllAnswers);
    if (request.headers['dpop'] !== undefined) reply.header('dpop-nonce', oauth.dpop.nonce());
    const hasTooMany = request.raw.rawHeaders.length / 2 > limits.headers;
    done(hasTooMany ? new KeyturnError('HEADERS_TOO_MANY') : undefined);
  });
  app.addHook('onResponse', (request, reply, done) => {
    logRequest(request, reply);
    done();
  });
  app.addHook('onRequestAbort', async (request) => {
    request.log.info({ method: request.method, path: pathOf(request) }, 'request aborted');
  });

  const authorizer = new Authorizer({ ...oauth, directory: services.directory });
  const served = [
    managementService(services),
    adminService(services),
    userService({ ...services, authorizer }),
    webhookService(webhooks),
    ownMachineUserService(services),
    machineSecretService(services),
    secretPolicyService(services),
    instanceSecretPolicyService(services),
    signingKeyService(services),
    auditService(audit),
  ].map((service) => serveService(service, authorizer));
  const findUnimplemented = unimplementedMethods(served);
  app.setNotFoundHandler(async (request) => {
    const unimplemented = await findUnimplemented(request.method, pathOf(request));
    throw unimplemented ?? new KeyturnError('ROUTE_NOT_FOUND');
  });

  const completion = methodNotAllowed(app, findUnimplemented);
  app.register(preflights);
  app.register(healthRoutes, { readiness });
  app.register(async (serving) => {
    serving.addHook('onRequest', (_request, _reply, done) => {
      done(isReady() ? undefined : new KeyturnError('NOT_READY'));
    });
    readPosition(serving, position);
    serving.register(oauthRoutes, oauth);
    serving.register(eventStreamRoutes, { ...eventStream, authorizer });
    serving.register(checkpointRoutes, { checkpoints });
    serving.register(leakRoutes, leaks);
    serving.register(restRoutes, { services: served, timeLimit: limits.handling });
    serving.register(connectRoutes, {
      services: served,
      isReady,
      position: position.current,
      maxMessageBytes: limits.bodyBytes,
      timeLimit: limits.handling,
    });
    serving.register(openapiRoutes, { services: served, issuer: oauth.issuer, version });
  });
  app.register(completion);
  return app;
}

/** One line for each request. */
function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const answered = request.log.child({
    method: request.method,
    path: pathOf(request),
    status: reply.statusCode,
    durationMs: Math.round(reply.elapsedTime * 10) / 10,
    remoteAddress: request.remoteAddress,
  });
  answered.info('request');
}
