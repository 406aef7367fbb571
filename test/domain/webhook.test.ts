import { describe, it } from 'vitest';
import { type WebhookEvent, webhookDecider } from '../../src/domain/webhook/decider.ts';
import { specification } from '../support/given-when-then.ts';

const { given } = specification(webhookDecider);
const organizationId = 'org-1';
const target = { url: 'https://a.example/', types: ['MachineSecretSet'], userId: '', description: '' };
const secret = { secretId: 's1', encryptedSecret: 'jwe' };
const added: WebhookEvent = { type: 'WebhookAdded', data: { organizationId, ...target, ...secret } };
const disabled: WebhookEvent = {
  type: 'WebhookDisabled',
  data: { reason: 'failing', failingSince: '2026-01-02T03:04:05.678Z' },
};
const removed: WebhookEvent = { type: 'WebhookRemoved', data: {} };
const change = { type: 'ChangeWebhook', organizationId, ...target, isEnabled: undefined } as const;
const disable = { type: 'DisableWebhook', organizationId, reason: 'gone' } as const;

describe('a webhook', () => {
  it('is added', () =>
    given()
      .when({ type: 'AddWebhook', organizationId, ...target, ...secret })
      .thenEvents(added));
  it('is added once', () =>
    given(added)
      .when({ type: 'AddWebhook', organizationId, ...target, ...secret })
      .thenError('WEBHOOK_ALREADY_EXISTS'));
  it('begins where it is told', () =>
    given()
      .when({ type: 'AddWebhook', organizationId, ...target, ...secret, after: '7' })
      .thenEvents({ type: 'WebhookAdded', data: { organizationId, ...target, ...secret, after: '7' } }));
  it('holds what changed, and nothing else', () =>
    given(added)
      .when({ ...change, url: 'https://b.example/' })
      .thenEvents({ type: 'WebhookChanged', data: { url: 'https://b.example/' } }));
  it('is not changed by the same', () => given(added).when(change).thenError('WEBHOOK_NOT_CHANGED'));
  it('is turned off and on', () => {
    given(added)
      .when({ ...change, isEnabled: false })
      .thenEvents({ type: 'WebhookDisabled', data: { reason: 'manual' } });
    given(added, disabled)
      .when({ ...change, isEnabled: true })
      .thenEvents({ type: 'WebhookEnabled', data: {} });
  });
  it('that is off stays off unless it is turned on', () =>
    given(added, disabled)
      .when({ ...change, description: 'new' })
      .thenEvents({ type: 'WebhookChanged', data: { description: 'new' } }));
  it('is disabled once', () => {
    given(added)
      .when(disable)
      .thenEvents({ type: 'WebhookDisabled', data: { reason: 'gone' } });
    given(added, disabled).when(disable).thenEvents();
  });
  it('gets a new secret', () =>
    given(added)
      .when({
        type: 'RotateWebhookSecret',
        organizationId,
        secretId: 's2',
        encryptedSecret: 'jwe2',
        previousUntil: 'then',
      })
      .thenEvents({
        type: 'WebhookSecretRotated',
        data: { secretId: 's2', encryptedSecret: 'jwe2', previousUntil: 'then' },
      }));
  it('keeps its secret under another master key', () => {
    const data = { secretId: 's1', encryptedSecret: 'other jwe' };
    const reencrypt = { type: 'ReencryptWebhookSecret', organizationId, ...data } as const;
    given(added).when(reencrypt).thenEvents({ type: 'WebhookSecretReencrypted', data });
    given(added, removed).when(reencrypt).thenError('WEBHOOK_NOT_FOUND');
  });
  it('is removed for good', () => {
    given(added).when({ type: 'RemoveWebhook', organizationId }).thenEvents(removed);
    given(added, removed).when(change).thenError('WEBHOOK_NOT_FOUND');
    given(added, removed)
      .when({ type: 'AddWebhook', organizationId, ...target, ...secret })
      .thenError('WEBHOOK_ALREADY_EXISTS');
  });
  it('of another organization is unknown', () =>
    given(added)
      .when({ ...change, organizationId: 'org-2' })
      .thenError('WEBHOOK_NOT_FOUND'));
});
