import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { clientAssertion } from '../domain/aggregates.ts';
import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import type { AuthenticatedClient, AuthenticationRequest, ClientAccount } from './client-authentication.ts';
import type { Clock, CommandHandler } from './command-handler.ts';
import type { IsStillValid } from './credential-check.ts';

/** JWS algorithms that assertions may be signed with, asymmetric ones only, by what a key says of itself. */
const algorithmsOfKey: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
  ed25519: ['EdDSA', 'Ed25519'],
};
export const assertionAlgorithms = Object.values(algorithmsOfKey).flat();
/** In seconds: how far the clocks of clients may be off. */
const clockTolerance = 30;
/** `typ` of assertions: anything else is a token for another purpose (RFC 8725 section 3.11). */
const assertionTypes = [undefined, 'JWT', 'jwt', 'client-authentication+jwt'];

export interface AssertionRules {
  /** In seconds: how far in the future an assertion may expire. */
  readonly longestLifetime: number;
  readonly requiresTokenId: boolean;
}

/** For client authentication: OpenID Connect Core 1.0 section 9 requires `jti`. */
export const clientAuthenticationRules: AssertionRules = { longestLifetime: 300, requiresTokenId: true };
/** For the JWT profile grant: ZITADEL's clients sign for an hour, and without `jti`. */
export const jwtProfileRules: AssertionRules = { longestLifetime: 3600, requiresTokenId: false };

export interface MachineKeyLookup {
  clientByKeyId(
    keyId: string,
  ): { readonly account: ClientAccount; readonly publicKey: string; readonly expiresAt: string } | undefined;
}

export interface ClientAssertionsOptions {
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly directory: MachineKeyLookup;
  readonly commands: CommandHandler;
  readonly clock: Clock;
  readonly isStillValid: IsStillValid | undefined;
}

/** Verifies the assertions (RFC 7523 section 3) that machine users sign with their keys. */
export class ClientAssertions {
  readonly #options: ClientAssertionsOptions;
  readonly #publicKeys = new LRUCache<string, KeyObject>({ maxSize: 10_000, sizeCalculation: () => 1 });

  constructor(options: ClientAssertionsOptions) {
    this.#options = options;
  }

  /**
   * The client that signed the assertion, or undefined for every reason there is to refuse it. One with a `jti` counts
   * once, on all nodes together.
   */
  async authenticate(
    assertion: string,
    rules: AssertionRules,
    request: AuthenticationRequest,
  ): Promise<AuthenticatedClient | undefined> {
    const keyId = keyIdIn(assertion);
    const stored = keyId === undefined ? undefined : this.#options.directory.clientByKeyId(keyId);
    if (keyId === undefined || stored === undefined || !stored.account.isActive) return undefined;
    if (Date.parse(stored.expiresAt) <= this.#options.clock().getTime()) return undefined;
    const { account } = stored;
    const payload = await this.#verify(assertion, stored.publicKey, rules);
    const speaksForItself =
      payload?.iss === payload?.sub && [account.userId, account.userName].includes(payload?.sub ?? '');
    if (payload === undefined || !speaksForItself) return undefined;
    const client = { ...account, credential: { kind: 'key', id: keyId } } as const;
    const { isStillValid } = this.#options;
    if (isStillValid !== undefined && !(await isStillValid(client))) return undefined;
    return (await this.#isFirstUse(payload, account, keyId, request)) ? client : undefined;
  }

  async #verify(assertion: string, pem: string, rules: AssertionRules): Promise<JWTPayload | undefined> {
    const { issuer, clock } = this.#options;
    const now = clock();
    try {
      const key = this.#publicKey(pem);
      const { payload } = await jwtVerify(assertion, key, {
        algorithms: algorithmsOf(key),
        audience: issuer(),
        currentDate: now,
        clockTolerance,
        requiredClaims: ['iss', 'sub', 'exp', ...(rules.requiresTokenId ? ['jti'] : [])],
      });
      const latest = now.getTime() / 1000 + clockTolerance;
      const { aud, exp = 0, iat = 0 } = payload;
      // For this server and no other: one of those could use it here.
      const isForThisServerAlone = [aud].flat().length === 1;
      return isForThisServerAlone && exp <= latest + rules.longestLifetime && iat <= latest
        ? payload
        : undefined;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  /** Claims the assertion's id for this use, durably, before it counts. */
  async #isFirstUse(
    { jti, exp = 0 }: JWTPayload,
    { userId, organizationId }: ClientAccount,
    keyId: string,
    { id, origin }: AuthenticationRequest,
  ): Promise<boolean> {
    if (jti === undefined) return true;
    const expiresAt = new Date(exp * 1000).toISOString();
    try {
      await this.#options.commands.execute(
        clientAssertion,
        createHash('sha256').update(`${userId}\n${jti}`).digest('base64url'),
        { type: 'Use', userId, keyId, expiresAt },
        { editor: { userId, organizationId }, origin, correlationId: id, causationId: id },
        'no_stream',
      );
      return true;
    } catch (error) {
      if (error instanceof WrongExpectedRevisionError) return false;
      throw error;
    }
  }

  #publicKey(pem: string): KeyObject {
    const known = this.#publicKeys.get(pem) ?? createPublicKey(pem);
    this.#publicKeys.set(pem, known);
    return known;
  }
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string[] {
  const name = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType ?? '';
  return [...(algorithmsOfKey[name] ?? [])];
}

/** From a header that is not verified yet: it only says which key to try. */
function keyIdIn(assertion: string): string | undefined {
  try {
    const { kid, typ } = decodeProtectedHeader(assertion);
    // Its type promises a text, which nobody has checked yet.
    return assertionTypes.includes(typ) && typeof kid === 'string' ? kid : undefined;
  } catch {
    return undefined;
  }
}
