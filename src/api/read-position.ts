import type { FastifyInstance } from 'fastify';
import { KeyturnError } from '../domain/errors.ts';

/** How far this node's read model has come in the log. */
export interface ReadPosition {
  readonly current: () => bigint;
  /** @throws KeyturnError when the node does not come so far in time */
  readonly waitFor: (position: bigint) => Promise<void>;
}

export const positionHeader = 'x-keyturn-position';

/**
 * Lets clients read on one node what they wrote on another: an answer says how far its node had come, and a request that
 * sends that back is answered by a node that has come as far.
 */
export function readPosition(app: FastifyInstance, { current, waitFor }: ReadPosition): void {
  app.addHook('onRequest', async (request) => {
    const sent = request.headers[positionHeader];
    if (sent === undefined) return;
    const position = parsePosition(sent);
    if (position === undefined) throw new KeyturnError('POSITION_INVALID');
    await waitFor(position).catch((cause) => {
      throw new KeyturnError('POSITION_NOT_REACHED', { cause });
    });
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header(positionHeader, String(current()));
  });
}

function parsePosition(sent: string | string[]): bigint | undefined {
  return typeof sent === 'string' && /^\d{1,19}$/.test(sent) ? BigInt(sent) : undefined;
}
