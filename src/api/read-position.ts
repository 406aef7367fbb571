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
 * How far ahead a position may be to be waited for, in events or in bytes of the log, as the event store counts: no node
 * catches up with more while a request waits.
 */
const farthestAhead = 100_000_000n;
/** How many requests may wait at a time. They are not authenticated yet, and hold a connection each. */
const mostWaiting = 1000;

/**
 * Lets clients read on one node what they wrote on another: an answer says how far its node had come, and a request that
 * sends that back is answered by a node that has come as far.
 */
export function readPosition(app: FastifyInstance, { current, waitFor }: ReadPosition): void {
  let waiting = 0;
  const reach = async (sent: string | string[]) => {
    const position = parsePosition(sent);
    if (position === undefined) throw new KeyturnError('POSITION_INVALID');
    const ahead = position - current();
    if (ahead <= 0n) return;
    if (ahead > farthestAhead || waiting >= mostWaiting) throw new KeyturnError('POSITION_NOT_REACHED');
    waiting++;
    try {
      await waitFor(position);
    } catch (cause) {
      throw new KeyturnError('POSITION_NOT_REACHED', { cause });
    } finally {
      waiting--;
    }
  };
  app.addHook('onRequest', (request, _reply, done) => {
    const sent = request.headers[positionHeader];
    if (sent === undefined) done();
    else reach(sent).then(() => done(), done);
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.header(positionHeader, String(current()));
    done();
  });
}

function parsePosition(sent: string | string[]): bigint | undefined {
  return typeof sent === 'string' && /^\d{1,19}$/.test(sent) ? BigInt(sent) : undefined;
}
