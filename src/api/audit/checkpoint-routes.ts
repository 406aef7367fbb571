import type { FastifyInstance } from 'fastify';
import { KeyturnError } from '../../domain/errors.ts';

export interface PublishedCheckpoints {
  /** The last signed checkpoint; undefined before the first one. */
  current(): string | undefined;
  /** What it is verified with, as text; undefined where the log is not signed. */
  verifierKey(): string | undefined;
}

/**
 * The head of the log, for anyone: a checkpoint tells how many events there are, and nothing of them. Whoever keeps one can
 * prove later that the log only grew.
 */
export async function checkpointRoutes(
  app: FastifyInstance,
  { checkpoints }: { checkpoints: PublishedCheckpoints },
): Promise<void> {
  app.get('/keyturn/v1/log/checkpoint', async (_request, reply) => {
    const checkpoint = checkpoints.current();
    if (checkpoint === undefined) throw new KeyturnError('CHECKPOINT_NOT_FOUND');
    return reply.type('text/plain; charset=utf-8').send(checkpoint);
  });

  app.get('/keyturn/v1/log/verifier-key', async (_request, reply) => {
    const key = checkpoints.verifierKey();
    if (key === undefined) throw new KeyturnError('CHECKPOINT_NOT_FOUND');
    return reply.type('text/plain; charset=utf-8').send(`${key}\n`);
  });
}
