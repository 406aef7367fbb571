import { createHash } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  EmbeddedJWK,
  errors,
  type JWK,
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
/** The key in a proof is anybody's, and what it costs to verify with is bounded: 4096 bits, and the exponent of all. */
const rsaKey = { exponent: 'AQAB', longestModulus: Math.ceil((4096 / 8) * (4 / 3)) };
/** Proofs remembered, of all minutes together. */
const rememberedProofs = 1_000_000;

/** The request that a proof is for, and the proof (RFC 9449 section 4.1). */
export interface ProvenRequest {
  /** The header `DPoP`. */
  readonly proof: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
}

/** A proof that is right, and was not used yet. */
export interface ExaminedProof {
  /** SHA-256 (RFC 7638), of the key that the client has proven to hold. */
  readonly thumbprint: string;
  /** The minute of its nonce. */
  readonly window: number;
  /** What tells it from other proofs of the minute. */
  readonly digest: string;
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
  /** Digests of the proofs that were used, by the minute of their nonce. */
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
    const verified =
      this.#verified.get(request) ?? this.examine(request, token).then((proof) => this.use(proof));
    this.#verified.set(request, verified);
    return verified;
  }

  /**
   * As {@link verify}, without using the proof up: for a client that is not authenticated yet, who is not to fill the
   * memory of used proofs.
   *
   * @throws InvalidDpopProofError
   * @throws DpopNonceError
   */
  async examine({ proof, method, path }: ProvenRequest, token?: string): Promise<ExaminedProof> {
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
    const digest = createHash('sha256').update(`${thumbprint} ${jti}`).digest('base64url').slice(0, 22);
    if (this.#seen.get(window)?.has(digest)) throw usedBefore();
    return { thumbprint, window, digest };
  }

  /**
   * Uses a proof up.
   *
   * @returns its thumbprint
   * @throws InvalidDpopProofError
   */
  use({ thumbprint, window, digest }: ExaminedProof): string {
    const oldest = this.#options.nonces.oldestWindow();
    // A minute longer than needed: for a request that is still on its way, and a clock that is set back.
    for (const old of this.#seen.keys()) if (old < oldest - 1) this.#seen.delete(old);
    const seen = this.#seen.get(window) ?? new Set();
    if (seen.has(digest)) throw usedBefore();
    const count = this.#seen.values().reduce((sum, { size }) => sum + size, 0);
    if (count >= rememberedProofs) throw new InvalidDpopProofError('too many DPoP proofs, try again later');
    this.#seen.set(window, seen.add(digest));
    return thumbprint;
  }

  async #verifySignature(proof: string): Promise<{ payload: JWTPayload; thumbprint: string }> {
    const now = this.#options.clock();
    try {
      const { jwk } = decodeProtectedHeader(proof);
      if (jwk?.kty === 'RSA' && !isBounded(jwk)) {
        throw new InvalidDpopProofError(
          'an RSA key of a DPoP proof has the exponent 65537 and up to 4096 bits',
        );
      }
      const { payload } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: dpopAlgorithms,
        currentDate: now,
        clockTolerance,
        requiredClaims: ['jti', 'htm', 'htu', 'iat'],
      });
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
}

function usedBefore(): InvalidDpopProofError {
  return new InvalidDpopProofError('the DPoP proof was used before');
}

function isBounded({ n, e }: JWK): boolean {
  return e === rsaKey.exponent && typeof n === 'string' && n.length <= rsaKey.longestModulus;
}

function isSameUrl(claimed: unknown, actual: string): boolean {
  const url = typeof claimed === 'string' ? URL.parse(claimed) : null;
  if (url === null) return false;
  return url.origin + url.pathname === new URL(actual).href;
}
