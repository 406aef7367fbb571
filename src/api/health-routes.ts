import type { FastifyInstance } from 'fastify';

export interface Readiness {
  readonly isReady: boolean;
  /** What it waits for while it is not ready. */
  readonly waitingFor?: string;
  /** Whether the last call to the event store reached it. A ready node goes on answering from its read model. */
  readonly eventStore: 'reachable' | 'unreachable';
}

/** For probes: whether the process runs, and whether it can serve. The paths are ZITADEL's. */
export async function healthRoutes(
  app: FastifyInstance,
  { readiness }: { readiness: () => Readiness },
): Promise<void> {
  app.get('/debug/healthz', async () => ({ status: 'ok' }));
  app.get('/debug/ready', async (_request, reply) => {
    const { isReady, waitingFor, eventStore } = readiness();
    if (isReady) return { status: 'ready', eventStore };
    const reason = waitingFor === undefined ? {} : { reason: `waiting for ${waitingFor}` };
    return reply
      .code(503)
      .header('retry-after', '1')
      .send({ status: 'not ready', ...reason, eventStore });
  });
}
