import { describe, it } from 'vitest';
import { clientAssertionDecider } from '../../src/domain/client-assertion/decider.ts';
import { specification } from '../support/given-when-then.ts';

const { given } = specification(clientAssertionDecider);
const data = { userId: 'u', keyId: 'k', expiresAt: '2026-01-02T03:09:05.000Z' };

describe('a client assertion', () => {
  it('is used', () =>
    given()
      .when({ type: 'Use', ...data })
      .thenEvents({ type: 'ClientAssertionUsed', data }));
  it('is used once', () =>
    given({ type: 'ClientAssertionUsed', data })
      .when({ type: 'Use', ...data })
      .thenEvents());
});
