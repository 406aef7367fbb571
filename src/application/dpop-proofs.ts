import { createHash } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  EmbeddedJWK,
  errors,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import type { Clock } from './command-handler.ts';
import type { DpopNonces } from './dpop-nonces.ts';

/** JWS algorithms that proofs may be signed with: asymmetric ones only. */
export const dpopAlgorithms = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA', 'Ed25519'];
/** In seconds: how far the clocks of clients may be off. That a proof is fresh, its nonce tells. */
const clockTolerance = 300;
/** In characters. */
const longestTokenId = 256;

/** The request that a proof is for, and the proof (RFC 9449 section 4.1). */
export interface ProvenRequest {
  /** The header `DPoP`. */
  readonly proof: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
}

/** The proof does not prove anything. */
export class InvalidDpopProofError extends Error {
  override readonly name = 'InvalidDpopProofError';
}

/** The proof is right but for its nonce: the client is to take the one that is answered. */
export class DpopNonceError extends Error {
  override readonly name = 'DpopNonceError';

  constructor() {
    super('the DPoP proof needs the nonce of the header DPoP-Nonce');
  }
}

export interface DpopProofsOptions {
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly nonces: DpopNonces;
  readonly clock: Clock;
}

/** Verifies DPoP proofs (RFC 9449 section 4.3). Each counts once at this process; its nonce bounds how long it could count. */
export class DpopProofs {
  readonly #options: DpopProofsOptions;
  /** A request that is asked about again, as a long answer is while it lasts, brings no other proof. */
  readonly #verified = new WeakMap<ProvenRequest, Promise<string>>();
  /** The proofs seen, by the minute of their nonce. */
  readonly #seen = new Map<number, Set<string>>();

  constructor(options: DpopProofsOptions) {
    this.#options = options;
  }

  /** The nonce for the next proof. */
  nonce(): string {
    return this.#options.nonces.current();
  }

  /**
   * @param token the access token that comes with the proof, when one does
   * @returns the SHA-256 thumbprint (RFC 7638) of the key that the client has proven to hold
   * @throws InvalidDpopProofError
   * @throws DpopNonceError
   */
  verify(request: ProvenRequest, token?: string): Promise<string> {
    const verified = this.#verified.get(request) ?? this.#verify(request, token);
    this.#verified.set(request, verified);
    return verified;
  }

  async #verify({ proof, method, path }: ProvenRequest, token: string | undefined): Promise<string> {
    const { payload, thumbprint } = await this.#verifySignature(proof);
    const { jti, htm, htu, ath } = payload;
    if (htm !== method || !isSameUrl(htu, this.#options.issuer() + path)) {
      throw new InvalidDpopProofError('the DPoP proof is for another request');
    }
    if (token !== undefined && ath !== createHash('sha256').update(token).digest('base64url')) {
      throw new InvalidDpopProofError('the DPoP proof is for another token');
    }
    if (typeof jti !== 'string' || jti === '' || jti.length > longestTokenId) {
      throw new InvalidDpopProofError('the DPoP proof has no jti');
    }
    const window = this.#options.nonces.windowOf(payload['nonce']);
    if (window === undefined) throw new DpopNonceError();
    if (!this.#isFirstUse(window, `${thumbprint} ${jti}`)) {
      throw new InvalidDpopProofError('the DPoP proof was used before');
    }
    return thumbprint;
  }

  async #verifySignature(proof: string): Promise<{ payload: JWTPayload; thumbprint: string }> {
    const now = this.#options.clock();
    try {
      const { payload } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: dpopAlgorithms,
        currentDate: now,
        clockTolerance,
        requiredClaims: ['jti', 'htm', 'htu', 'iat'],
      });
      const { jwk } = decodeProtectedHeader(proof);
      const isOfNow = Math.abs((payload.iat ?? 0) - now.getTime() / 1000) <= clockTolerance;
      if (jwk === undefined || !isOfNow) throw new InvalidDpopProofError('the DPoP proof is not of now');
      return { payload, thumbprint: await calculateJwkThumbprint(jwk) };
    } catch (error) {
      if (error instanceof InvalidDpopProofError) throw error;
      // The key in the header is the client's: whatever cannot be done with it makes no proof.
      const isTheirs =
        error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException;
      if (!isTheirs) throw error;
      throw new InvalidDpopProofError('the DPoP proof is not valid', { cause: error });
    }
  }

  #isFirstUse(window: number, id: string): boolean {
    for (const old of this.#seen.keys()) if (old < window - 3) this.#seen.delete(old);
    const seen = this.#seen.get(window) ?? new Set();
    if (seen.has(id)) return false;
    this.#seen.set(window, seen.add(id));
    return true;
  }
}

function isSameUrl(claimed: unknown, actual: string): boolean {
  const url = typeof claimed === 'string' ? URL.parse(claimed) : null;
  if (url === null) return false;
  return url.origin + url.pathname === new URL(actual).href;
}
