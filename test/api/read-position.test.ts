import { fastify } from 'fastify';
import { expect, it, onTestFinished, vi } from 'vitest';
import { readPosition } from '../../src/api/read-position.ts';
import { KeyturnError } from '../../src/domain/errors.ts';

/** A node at position 100 that comes no further until it is told to. */
function nodeAt100() {
  const reached = Promise.withResolvers<void>();
  const waitFor = vi.fn(() => reached.promise);
  const app = fastify();
  onTestFinished(() => app.close());
  readPosition(app, { current: () => 100n, waitFor });
  app.setErrorHandler((error, _request, reply) =>
    reply.code(503).send(error instanceof KeyturnError ? error.code : String(error)),
  );
  app.get('/', () => 'answer');
  const ask = async (position: bigint) => {
    const headers = { 'x-keyturn-position': String(position) };
    return (await app.inject({ url: '/', headers })).body;
  };
  return { ask, waitFor, reached };
}

it('waits for a position that is near', async () => {
  const { ask, waitFor, reached } = nodeAt100();
  const answer = ask(101n);
  reached.resolve();
  expect(await answer).toBe('answer');
  expect(waitFor).toHaveBeenCalledWith(101n);
});

it('answers at once for a position that it has, and one that no node comes to in time', async () => {
  const { ask, waitFor } = nodeAt100();
  expect(await ask(100n)).toBe('answer');
  expect(await ask(9_999_999_999_999_999n)).toBe('POSITION_NOT_REACHED');
  expect(waitFor).not.toHaveBeenCalled();
});

it('lets a thousand requests wait, answers a further one at once, and lets others wait after them', async () => {
  const { ask, waitFor, reached } = nodeAt100();
  const waiting = Array.from({ length: 1000 }, () => ask(101n));
  await vi.waitFor(() => expect(waitFor).toHaveBeenCalledTimes(1000));
  expect(await ask(101n)).toBe('POSITION_NOT_REACHED');
  reached.resolve();
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['answer']));
  expect(await ask(101n)).toBe('answer');
});
