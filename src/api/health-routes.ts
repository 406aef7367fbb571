import type { FastifyInstance } from 'fastify';

/** For probes: whether the process runs, and whether it can serve. The paths are ZITADEL's. */
export async function healthRoutes(
  app: FastifyInstance,
  { isReady }: { isReady: () => boolean },
): Promise<void> {
  app.get('/debug/healthz', async () => ({ status: 'ok' }));
  app.get('/debug/ready', async (_request, reply) => {
    if (isReady()) return { status: 'ready' };
    return reply.code(503).header('retry-after', '1').send({ status: 'not ready' });
  });
}
