import { describe, it } from 'vitest';
import { accessTokenDecider } from '../../src/domain/access-token/decider.ts';
import { specification } from '../support/given-when-then.ts';

const { given } = specification(accessTokenDecider);
const data = { userId: 'u', expiresAt: '2026-01-02T04:04:05.000Z' };

describe('an access token', () => {
  it('is revoked', () =>
    given()
      .when({ type: 'Revoke', ...data })
      .thenEvents({ type: 'AccessTokenRevoked', data }));
  it('is revoked once', () =>
    given({ type: 'AccessTokenRevoked', data })
      .when({ type: 'Revoke', ...data })
      .thenEvents());
});
