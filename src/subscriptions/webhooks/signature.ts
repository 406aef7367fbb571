import { createHmac, randomBytes } from 'node:crypto';

/** Before a signing secret in its text form (Standard Webhooks 1.0, "Signature scheme"). */
const secretPrefix = 'whsec_';
/** In bytes: between 24 and 64. */
const secretLength = 32;

/** `whsec_` and base64. */
export function newSigningSecret(): string {
  return secretPrefix + randomBytes(secretLength).toString('base64');
}

export interface SignedMessage {
  /** The event's id: the same whenever it is sent. */
  readonly id: string;
  readonly timestamp: Date;
  readonly body: string;
}

/** The headers of Standard Webhooks 1.0: HMAC-SHA256 over `<id>.<timestamp>.<body>`, one signature for each secret. */
export function signatureHeaders(
  { id, timestamp, body }: SignedMessage,
  secrets: readonly string[],
): Record<string, string> {
  const seconds = Math.floor(timestamp.getTime() / 1000);
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(secretPrefix.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  };
}
