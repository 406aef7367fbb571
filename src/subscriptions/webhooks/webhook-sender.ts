import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { buildConnector } from 'undici';
import { ForbiddenTargetError, type TargetPolicy } from './target-policy.ts';

export interface WebhookSenderOptions {
  readonly policy: TargetPolicy;
  /** In milliseconds, for all of one delivery. */
  readonly timeout: number;
}

export interface WebhookAnswer {
  readonly status: number;
  /** As it was sent. */
  readonly retryAfter: string | undefined;
}

/** Redirects that keep method and body (RFC 9110 section 15.4). All others are answers that did not take the event. */
const followedRedirects = [307, 308];
const longestRedirectChain = 3;

/** Posts to where the policy allows, and nowhere else: it is asked at each connection, after names are resolved. */
export class WebhookSender {
  readonly #policy: TargetPolicy;
  readonly #timeout: number;
  #client: ReturnType<typeof loadClient> | undefined;

  constructor({ policy, timeout }: WebhookSenderOptions) {
    this.#policy = policy;
    this.#timeout = timeout;
  }

  /** @throws Error it could not be sent, or nothing was answered in time */
  async post(
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<WebhookAnswer> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#timeout)]);
    const { request, agent } = await this.#loadedClient();
    let target = new URL(url);
    for (let redirects = 0; ; redirects++) {
      this.#policy.checkConnection(target.protocol, target.hostname);
      const response = await request(target, {
        dispatcher: agent,
        method: 'POST',
        headers,
        body,
        signal: limit,
      });
      await response.body.dump();
      const location = response.headers['location'];
      const next = typeof location === 'string' ? URL.parse(location, target) : null;
      if (!followedRedirects.includes(response.statusCode) || next === null) {
        const retryAfter = response.headers['retry-after'];
        return {
          status: response.statusCode,
          retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
        };
      }
      if (redirects === longestRedirectChain) throw new Error('too many redirects');
      target = next;
    }
  }

  async close(): Promise<void> {
    // What could not be loaded need not be closed: who wanted it was told.
    const client = await this.#client?.catch(() => undefined);
    await client?.agent.destroy();
  }

  /** Tried again with the next delivery where it cannot be loaded. */
  #loadedClient(): ReturnType<typeof loadClient> {
    this.#client ??= loadClient(this.#policy, this.#timeout).catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }
}

/** With the first delivery: it takes 5 MB, and many services have no webhook. */
async function loadClient(policy: TargetPolicy, timeout: number) {
  const { Agent, buildConnector, request } = await import('undici');
  const connect = guardedConnector(policy, buildConnector, timeout);
  return { request, agent: new Agent({ connect, headersTimeout: timeout, bodyTimeout: timeout }) };
}

/** Connects to allowed addresses only. The address that was checked is the one that is used: no second look-up. */
function guardedConnector(
  policy: TargetPolicy,
  connectorTo: typeof buildConnector,
  timeout: number,
): buildConnector.connector {
  const guardedLookup: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return callback(error, '', 0);
      const allowed = addresses.filter(({ address }) => policy.isAllowedAddress(address));
      const [first] = allowed;
      if (first === undefined)
        return callback(new ForbiddenTargetError('its address is not a public one'), '', 0);
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
  const connect = connectorTo({ lookup: guardedLookup, timeout });
  return (options, callback) => {
    try {
      // An address in the place of a name is never looked up.
      policy.checkConnection(options.protocol, options.hostname);
    } catch (error) {
      callback(error as Error, null);
      return;
    }
    connect(options, callback);
  };
}
