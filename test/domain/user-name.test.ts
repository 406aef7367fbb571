import { describe, expect, it, test } from 'vitest';
import { type UserNameEvent, userNameDecider } from '../../src/domain/user-name/decider.ts';
import { normalizeUserName } from '../../src/domain/user-name/normalize.ts';
import { givenTime, specification } from '../support/given-when-then.ts';

const { given } = specification(userNameDecider);

const claimed = (userId: string): UserNameEvent => ({ type: 'UserNameClaimed', data: { userId } });
const released = (userId: string): UserNameEvent => ({ type: 'UserNameReleased', data: { userId } });

describe('a user name', () => {
  it('is claimed when it is free', () =>
    given().when({ type: 'ClaimUserName', userId: 'a' }).thenEvents(claimed('a')));
  it('is claimed again after a release', () =>
    given(claimed('a'), released('a')).when({ type: 'ClaimUserName', userId: 'b' }).thenEvents(claimed('b')));
  it('is refused while another user holds it', () =>
    given(claimed('a')).when({ type: 'ClaimUserName', userId: 'b' }).thenError('USER_NAME_TAKEN'));
  it('is renewed by its holder with an event, so that a takeover under way conflicts', () =>
    given(claimed('a')).when({ type: 'ClaimUserName', userId: 'a' }).thenEvents(claimed('a')));
  it('is released by its holder', () =>
    given(claimed('a')).when({ type: 'ReleaseUserName', userId: 'a' }).thenEvents(released('a')));
  it('is not released by another', () =>
    given(claimed('a')).when({ type: 'ReleaseUserName', userId: 'b' }).thenEvents());
  it('is taken over from the holder whose claim lapsed', () =>
    given(claimed('a'))
      .when({ type: 'TakeOverUserName', userId: 'b', lapsedUserId: 'a' })
      .thenEvents(released('a'), claimed('b')));
  it('is not taken over from a holder other than the one whose claim lapsed', () =>
    given(claimed('c'))
      .when({ type: 'TakeOverUserName', userId: 'b', lapsedUserId: 'a' })
      .thenError('USER_NAME_TAKEN'));
  it('knows since when it is claimed', () =>
    given(claimed('a')).thenState({ status: 'claimed', userId: 'a', claimedAt: givenTime }));
});

test.each([
  ['Robot', 'robot'],
  [' robot\t', 'robot'],
  ['ＲＯＢＯＴ', 'robot'],
  ['Cafe\u0301', 'caf\u00e9'],
])('%j and %j are one name', (spelling, other) => {
  expect(normalizeUserName(spelling)).toBe(normalizeUserName(other));
});
