import { describe, expect, it, vi } from 'vitest';
import { RecentAnswers } from '../../src/projections/recent-answers.ts';

/** A remembering query for what the test puts into `rows`, each made from the aggregate that its text names. */
function remembering(limit = 100) {
  const rows = new Map<string, string>();
  const query = vi.fn((key: string) => rows.get(key));
  const recentAnswers = new RecentAnswers();
  const ask = recentAnswers.remember(query, (value) => value.split(' '), limit);
  return { rows, query, ask, recentAnswers };
}

describe('a remembered answer', () => {
  it('is asked for once, until an aggregate that it was made from changes', () => {
    const { rows, query, ask, recentAnswers } = remembering();
    rows.set('a', 'user1 acme').set('b', 'user2 acme').set('c', 'user3 other');
    const askAll = () => ['a', 'b', 'c', 'a'].map(ask);
    expect(askAll()).toEqual(['user1 acme', 'user2 acme', 'user3 other', 'user1 acme']);
    expect(query).toHaveBeenCalledTimes(3);
    rows.set('a', 'user1 acme changed');
    recentAnswers.forget('user1');
    recentAnswers.forget('nobody');
    expect(askAll()).toEqual(['user1 acme changed', 'user2 acme', 'user3 other', 'user1 acme changed']);
    expect(query).toHaveBeenCalledTimes(4);
    recentAnswers.forget('acme');
    askAll();
    expect(query).toHaveBeenCalledTimes(6);
    recentAnswers.forgetAll();
    askAll();
    expect(query).toHaveBeenCalledTimes(9);
  });

  it('is none where there was none', () => {
    const { rows, ask } = remembering();
    expect(ask('a')).toBeUndefined();
    rows.set('a', 'user1');
    expect(ask('a')).toBe('user1');
  });

  it('is neither given nor kept within a transaction', () => {
    const { rows, ask, recentAnswers } = remembering();
    rows.set('a', 'user1 before').set('b', 'user2 before');
    ask('a');
    recentAnswers.hold();
    rows.set('a', 'user1 within').set('b', 'user2 within');
    expect(['a', 'b'].map(ask)).toEqual(['user1 within', 'user2 within']);
    recentAnswers.forget('user1');
    rows.set('a', 'user1 rolled back').set('b', 'user2 rolled back');
    recentAnswers.release();
    expect(['a', 'b'].map(ask)).toEqual(['user1 rolled back', 'user2 rolled back']);
  });

  it('goes when there are too many, the least recently used first', () => {
    const { rows, query, ask, recentAnswers } = remembering(2);
    for (const key of ['a', 'b', 'c']) rows.set(key, 'user1');
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) ask(key);
    expect(query.mock.calls.flat()).toEqual(['a', 'b', 'c', 'b']);
    recentAnswers.forget('user1');
    for (const key of ['a', 'b']) ask(key);
    expect(query).toHaveBeenCalledTimes(6);
  });
});
