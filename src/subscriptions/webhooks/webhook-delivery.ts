import { cloudEventMediaType } from '../cloud-event.ts';
import { RetryLaterError } from '../subscription-worker.ts';
import { signatureHeaders } from './signature.ts';
import type { WebhookAnswer, WebhookSender } from './webhook-sender.ts';

/** The target answered 410: it wants no more events. */
export class TargetGoneError extends Error {
  override readonly name = 'TargetGoneError';
}

export interface SentWebhook {
  readonly url: string;
  readonly secrets: readonly string[];
  readonly eventId: string;
  readonly body: string;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** In milliseconds: the longest that a receiver may ask to wait. */
const longestRetryAfter = 24 * 60 * 60 * 1000;

/**
 * Sends one event, signed. Returns the status when it arrived: 2xx.
 *
 * @throws RetryLaterError, TargetGoneError, or another Error, whose text tells nothing of the answer but its status
 */
export async function deliverWebhook(
  sender: WebhookSender,
  { url, secrets, eventId, body, now, signal }: SentWebhook,
): Promise<number> {
  const headers = {
    'content-type': `${cloudEventMediaType}; charset=utf-8`,
    'user-agent': 'keyturn',
    ...signatureHeaders({ id: eventId, timestamp: now, body }, secrets),
  };
  const answer = await sender.post(url, headers, body, signal).catch((error: unknown) => {
    throw new Error(reasonOf(error), { cause: error });
  });
  if (answer.status >= 200 && answer.status < 300) return answer.status;
  if (answer.status === 410) throw new TargetGoneError('status 410');
  const retryAfter = retryAfterOf(answer, now);
  if (retryAfter !== undefined) throw new RetryLaterError(`status ${answer.status}`, retryAfter);
  throw new Error(`status ${answer.status}`);
}

/** Retry-After (RFC 9110 section 10.2.3) in milliseconds, where it has a meaning. */
function retryAfterOf({ status, retryAfter }: WebhookAnswer, now: Date): number | undefined {
  if (retryAfter === undefined || ![429, 503].includes(status)) return undefined;
  const wait = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now.getTime();
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), longestRetryAfter);
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name not found for now',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'no answer in time',
  UND_ERR_SOCKET: 'connection closed',
};

/** In words that are the same for every target, so that an error tells nothing of a network behind. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'not sent';
  if (error.name === 'ForbiddenTargetError' || error.name === 'TimeoutError') {
    return error.name === 'TimeoutError' ? 'no answer in time' : `refused: ${error.message}`;
  }
  const code = 'code' in error ? String(error.code) : '';
  if (error.message === 'too many redirects') return error.message;
  return (
    reasons[code] ??
    (code.includes('CERT') || code.startsWith('ERR_TLS') ? 'certificate not valid' : 'not sent')
  );
}
