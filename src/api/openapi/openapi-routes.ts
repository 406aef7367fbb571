import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import type { ServedService } from '../rpc/served-method.ts';
import { openapiDocument } from './openapi-document.ts';

export interface OpenapiOptions {
  readonly services: readonly ServedService[];
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly version: string;
}

/** The OpenAPI document, and a page to read it on. */
export async function openapiRoutes(app: FastifyInstance, options: OpenapiOptions): Promise<void> {
  const { services, issuer, version } = options;
  let document: ReturnType<typeof openapiDocument> | undefined;
  app.get('/openapi.json', async () => {
    document ??= openapiDocument(services, issuer(), version);
    return document;
  });
  // The page fetches the document by itself; the plugin wants one all the same.
  await app.register(swagger, {
    mode: 'static',
    specification: { document: { openapi: '3.1.0', info: { title: 'Keyturn', version } } as never },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { url: '/openapi.json', deepLinking: true },
  });
}
