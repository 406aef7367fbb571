import { setTimeout } from 'node:timers/promises';
import type { AttemptLimits, AttemptTarget } from './attempt-limits.ts';
import {
  type AssertionRules,
  type ClientAssertions,
  clientAuthenticationRules,
} from './client-assertions.ts';
import type {
  AuthenticatedClient,
  AuthenticationRequest,
  ClientAuthenticator,
} from './client-authentication.ts';
import type { SecretUseRecorder } from './secret-use-recorder.ts';

export interface GuardedAuthenticationOptions {
  readonly authenticator: ClientAuthenticator;
  readonly assertions: ClientAssertions;
  readonly limits: AttemptLimits;
  readonly recorder: SecretUseRecorder;
}

/** In milliseconds: how long the refusal of an assertion takes. */
const assertionRefusalDelay = 25;

/** The authentication of clients, with its guards: limits before it, and a record and a delay after a failure. */
export class GuardedAuthentication {
  readonly #options: GuardedAuthenticationOptions;

  constructor(options: GuardedAuthenticationOptions) {
    this.#options = options;
  }

  /**
   * The client, or undefined for every reason there is to refuse, after a time that does not depend on the reason.
   *
   * Who knows a live secret cannot be locked out by those who do not, not even by a neighbour with the same address: one
   * that was verified before is recognized without a hash, and one with the id of a live secret is limited on its own.
   *
   * @throws TooManyAttemptsError
   */
  async bySecret(
    loginName: string,
    secret: string,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    const { authenticator, limits, recorder } = this.#options;
    const arrived = performance.now();
    const { address } = request.origin;
    const recognized = authenticator.recognize(loginName, secret, request);
    const target: AttemptTarget = recognized ? { secretId: recognized.client.credential.id } : { loginName };
    const isVerified = recognized?.isVerified === true;
    const leavePlace = isVerified ? undefined : await limits.takePlace(target, address);
    let delay: number;
    try {
      // One that waited for its place may have become a verified one.
      const client = isVerified
        ? await authenticator.confirm(recognized, secret, request)
        : await authenticator.authenticate(loginName, secret, request);
      if (client !== undefined) {
        recorder.used(client, request);
        return client;
      }
      recorder.failed(loginName, request);
      delay = await limits.failed(target, address);
    } finally {
      leavePlace?.();
    }
    await restOf(delay, arrived);
    return undefined;
  }

  /** As {@link bySecret}, without limits: a signature cannot be guessed, and a wrong one costs no hash. */
  async byAssertion(
    assertion: string,
    request: AuthenticationRequest,
    rules: AssertionRules = clientAuthenticationRules,
  ): Promise<AuthenticatedClient | undefined> {
    const arrived = performance.now();
    const client = await this.#options.assertions.authenticate(assertion, rules, request);
    if (client === undefined) await restOf(assertionRefusalDelay, arrived);
    return client;
  }
}

/** Resolves `delay` milliseconds after `arrived`. */
async function restOf(delay: number, arrived: number): Promise<void> {
  await setTimeout(Math.max(0, delay - (performance.now() - arrived)));
}
