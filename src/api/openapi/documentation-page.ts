import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { type FastifyInstance, fastify } from 'fastify';

/** The page at `/docs` with all that it loads, but for the document, as a server that does not listen. */
export async function documentationPage(version: string): Promise<FastifyInstance> {
  const app = fastify();
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
  return app;
}
