import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { loadedWhenUsed } from '../loaded-when-used.ts';
import type { ServedService } from '../rpc/served-method.ts';
import { openapiDocument } from './openapi-document.ts';

export interface OpenapiOptions {
  readonly services: readonly ServedService[];
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly version: string;
}

/** Of a connection, and of the server that the page comes from: the one that answers has its own. */
const headersOfConnection = ['connection', 'date', 'keep-alive', 'transfer-encoding', 'content-length'];

/** The OpenAPI document, and a page to read it on. */
export async function openapiRoutes(app: FastifyInstance, options: OpenapiOptions): Promise<void> {
  const { services, issuer, version } = options;
  let document: ReturnType<typeof openapiDocument> | undefined;
  app.get('/openapi.json', async () => {
    document ??= openapiDocument(services, issuer(), version);
    return document;
  });

  // Loaded for its first reader: it is a tenth of the files that a start would load.
  const page = loadedWhenUsed(() => loadPage(version, app.log));
  const showPage = async ({ url, headers }: FastifyRequest, reply: FastifyReply) => {
    const answer = await (await page()).inject({ method: 'GET', url, headers });
    if (answer.statusCode === 404) return reply.callNotFound();
    for (const [name, value] of Object.entries(answer.headers)) {
      if (!headersOfConnection.includes(name)) reply.header(name, value);
    }
    // An empty one would be given a type and a length, which an answer of "not modified" must not have.
    return reply.code(answer.statusCode).send(answer.rawPayload.length > 0 ? answer.rawPayload : undefined);
  };
  app.get('/docs', showPage);
  app.get('/docs/*', showPage);
}

async function loadPage(version: string, logger: FastifyBaseLogger): Promise<FastifyInstance> {
  const { documentationPage } = await import('./documentation-page.ts');
  return documentationPage(version, logger);
}
