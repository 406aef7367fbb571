import { pino } from 'pino';
import { expect, it } from 'vitest';
import { RequestLog } from '../../src/api/request-log.ts';

function logging(level = 'info') {
  const lines: string[] = [];
  const log = new RequestLog(
    pino({ level, base: null }, { write: (line: string) => void lines.push(line) }),
    {
      reqId: 'r1',
    },
  );
  const logged = () => lines.map((line) => JSON.parse(line)).map(({ time: _, ...fields }) => fields);
  return { log, logged };
}

it('says on each line what is known of the request', () => {
  const { log, logged } = logging();
  log.info('arrived');
  const known = log.child({ userId: 'u1' }).child({ secretId: 's1' });
  known.warn({ status: 200 }, 'answered with %s', 'care');
  expect(logged()).toEqual([
    { level: 30, reqId: 'r1', msg: 'arrived' },
    { level: 40, reqId: 'r1', userId: 'u1', secretId: 's1', status: 200, msg: 'answered with care' },
  ]);
});

it('takes an error as pino does, alone and with a text', () => {
  const { log, logged } = logging();
  log.error(new Error('disk full'));
  log.fatal({ err: new TypeError('no user') }, 'unexpected error');
  const err = { type: 'Error', message: 'disk full', stack: expect.any(String) };
  expect(logged()).toEqual([
    { level: 50, reqId: 'r1', err, msg: 'disk full' },
    {
      level: 60,
      reqId: 'r1',
      err: { ...err, type: 'TypeError', message: 'no user' },
      msg: 'unexpected error',
    },
  ]);
});

it('logs nothing below its level', () => {
  const { log, logged } = logging('warn');
  log.info('arrived');
  log.debug('arrived');
  log.trace('arrived');
  log.silent();
  expect([logged(), log.level]).toEqual([[], 'warn']);
});
