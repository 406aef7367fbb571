import { describe, it } from 'vitest';
import { type ParkedEventsEvent, parkedEventsDecider } from '../../src/domain/subscription/parked-events.ts';
import { type ProgressEvent, progressDecider } from '../../src/domain/subscription/progress.ts';
import { givenTime, specification } from '../support/given-when-then.ts';

describe('the progress of a subscription', () => {
  const { given } = specification(progressDecider);
  const one = { workerId: 'w1', nodeId: 'n1' };
  const two = { workerId: 'w2', nodeId: 'n2' };
  const claimed = (worker: typeof one): ProgressEvent => ({ type: 'SubscriptionClaimed', data: worker });
  const progress = { position: '7', pending: [{ stream: 's-1', revision: '0', attempts: 1 }] };
  const advance = { type: 'AdvanceSubscription', progress } as const;

  it('is claimed by the first worker', () =>
    given()
      .when({ type: 'ClaimSubscription', ...one })
      .thenEvents(claimed(one)));
  it('is claimed once', () =>
    given(claimed(one))
      .when({ type: 'ClaimSubscription', ...one })
      .thenEvents());
  it('can be taken over', () =>
    given(claimed(one))
      .when({ type: 'ClaimSubscription', ...two })
      .thenEvents(claimed(two)));
  it('is taken over from who was believed to hold it, and from nobody else', () => {
    given(claimed(one))
      .when({ type: 'ClaimSubscription', ...two, supersedes: 'w1' })
      .thenEvents(claimed(two));
    given(claimed(one))
      .when({ type: 'ClaimSubscription', ...two, supersedes: 'w0' })
      .thenError('SUBSCRIPTION_TAKEN_OVER');
    given(claimed(one))
      .when({ type: 'ClaimSubscription', ...two, supersedes: null })
      .thenError('SUBSCRIPTION_TAKEN_OVER');
    given()
      .when({ type: 'ClaimSubscription', ...two, supersedes: null })
      .thenEvents(claimed(two));
  });
  it('is saved by the worker that holds it', () =>
    given(claimed(one))
      .when({ ...advance, ...one })
      .thenEvents({ type: 'SubscriptionAdvanced', data: { ...one, ...progress } }));
  it('is not saved by a worker that was taken over', () =>
    given(claimed(one), claimed(two))
      .when({ ...advance, ...one })
      .thenError('SUBSCRIPTION_TAKEN_OVER'));
  it('is not saved by a worker that never claimed it', () =>
    given()
      .when({ ...advance, ...one })
      .thenError('SUBSCRIPTION_TAKEN_OVER'));
  it('outlives a takeover', () =>
    given(
      claimed(one),
      { type: 'SubscriptionAdvanced', data: { ...one, ...progress } },
      claimed(two),
    ).thenState({
      worker: two,
      progress,
    }));
  it('is all in its last event', () => {
    const failingSince = givenTime;
    given({ type: 'SubscriptionAdvanced', data: { ...one, ...progress, failingSince } }).thenState({
      worker: one,
      progress: { ...progress, failingSince },
    });
  });
});

describe('parked events', () => {
  const { given } = specification(parkedEventsDecider);
  const reference = { eventId: 'e1', stream: 's-1', revision: '3' };
  const data = { ...reference, attempts: 2, reason: 'status 500' };
  const parked: ParkedEventsEvent = { type: 'EventParked', data };
  const replayed: ParkedEventsEvent = { type: 'ParkedEventReplayed', data: reference };

  it('are parked with the reason', () =>
    given()
      .when({ type: 'ParkEvent', ...data })
      .thenEvents(parked));
  it('are parked once', () =>
    given(parked)
      .when({ type: 'ParkEvent', ...data })
      .thenEvents());
  it('are replayed', () =>
    given(parked).when({ type: 'ReplayParkedEvent', eventId: 'e1' }).thenEvents(replayed));
  it('are replayed once', () =>
    given(parked, replayed)
      .when({ type: 'ReplayParkedEvent', eventId: 'e1' })
      .thenError('PARKED_EVENT_NOT_FOUND'));
  it('can be parked again', () =>
    given(parked, replayed)
      .when({ type: 'ParkEvent', ...data })
      .thenEvents(parked));
  it('tell when they were parked', () =>
    given(parked).thenState(new Map([['e1', { ...data, parkedAt: givenTime }]])));
});
