import { createHash, randomUUID } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { accessToken } from '../domain/aggregates.ts';
import type { AccessTokenType } from '../domain/machine-user/events.ts';
import { type AccessTokenClaims, claimsOf, payloadOf } from './access-token-claims.ts';
import type { Clock, CommandContext, CommandHandler } from './command-handler.ts';
import type { OpaqueAccessTokens } from './opaque-access-tokens.ts';
import type { SigningKeyRing } from './signing-key-ring.ts';

/** `typ` of a JWT access token (RFC 9068 section 2.1). */
const jwtType = 'at+jwt';

export interface AccessTokenSubject {
  readonly userId: string;
  readonly userName: string;
  readonly accessTokenType: AccessTokenType;
  readonly tokenEpoch: number;
}

export interface AccessTokenGrant {
  readonly scopes: readonly string[];
  /** Empty: the client itself, as ZITADEL does. */
  readonly audience: readonly string[];
  /** The key that the token is bound to; undefined: a bearer token. */
  readonly keyThumbprint: string | undefined;
  /** Further claims of a JWT. */
  readonly userClaims: Readonly<Record<string, unknown>>;
}

/** What the read model knows that decides whether a token is alive. */
export interface TokenDirectory {
  /** Undefined when the user is unknown or was removed. */
  tokenStanding(
    tokenId: string,
    userId: string,
  ): { readonly isActive: boolean; readonly tokenEpoch: number; readonly isRevoked: boolean } | undefined;
}

export interface AccessTokensOptions {
  /** Known once the server listens. */
  readonly issuer: () => string;
  readonly keyRing: SigningKeyRing;
  readonly opaqueTokens: OpaqueAccessTokens;
  readonly directory: TokenDirectory;
  readonly commands: CommandHandler;
  readonly clock: Clock;
  /** In seconds. */
  readonly lifetime: number;
}

/** Issues access tokens, tells whether one is alive, and revokes them. To issue writes nothing; a revocation is an event. */
export class AccessTokens {
  /** In seconds. */
  readonly lifetime: number;
  readonly #options: AccessTokensOptions;
  /** By digest, so that a memory dump holds no token. Only that the token is authentic is remembered, not that it is alive. */
  readonly #authentic = new LRUCache<
    string,
    { readonly claims: AccessTokenClaims; readonly ringVersion: number }
  >({ maxSize: 10_000, sizeCalculation: () => 1 });

  constructor(options: AccessTokensOptions) {
    this.#options = options;
    this.lifetime = options.lifetime;
  }

  /** In the form that the user's `accessTokenType` asks for: a JWT (RFC 9068), or an opaque text. */
  issue(subject: AccessTokenSubject, grant: AccessTokenGrant): string | Promise<string> {
    const issuedAt = this.#nowInSeconds();
    const payload = payloadOf({
      tokenId: randomUUID(),
      userId: subject.userId,
      clientId: subject.userName,
      scopes: grant.scopes,
      audience: grant.audience.length === 0 ? [subject.userName] : grant.audience,
      issuedAt,
      expiresAt: issuedAt + this.lifetime,
      tokenEpoch: subject.tokenEpoch,
      keyThumbprint: grant.keyThumbprint,
    });
    const { keyRing, opaqueTokens, issuer } = this.#options;
    return subject.accessTokenType === 'jwt'
      ? keyRing.sign(jwtType, { ...grant.userClaims, iss: issuer(), ...payload })
      : opaqueTokens.write(payload);
  }

  /** What the token says, or undefined when it is not one of this issuer that is alive now. */
  async verify(token: string): Promise<AccessTokenClaims | undefined> {
    const claims = await this.#authenticate(token);
    if (claims === undefined || claims.expiresAt <= this.#nowInSeconds()) return undefined;
    const standing = this.#options.directory.tokenStanding(claims.tokenId, claims.userId);
    if (standing === undefined || !standing.isActive || standing.isRevoked) return undefined;
    // A token of a later epoch is from a node that knows more than this one.
    return claims.tokenEpoch >= standing.tokenEpoch ? claims : undefined;
  }

  /** Ends one token, on every node, before it expires. */
  async revoke({ tokenId, userId, expiresAt }: AccessTokenClaims, context: CommandContext): Promise<void> {
    const revoke = { type: 'Revoke', userId, expiresAt: new Date(expiresAt * 1000).toISOString() } as const;
    await this.#options.commands.execute(accessToken, tokenId, revoke, context);
  }

  async #authenticate(token: string): Promise<AccessTokenClaims | undefined> {
    const digest = createHash('sha256').update(token).digest('base64url');
    const ringVersion = this.#options.keyRing.version;
    const known = this.#authentic.get(digest);
    if (known?.ringVersion === ringVersion) return known.claims;
    const claims = claimsOf(await this.#read(token));
    if (claims !== undefined) this.#authentic.set(digest, { claims, ringVersion });
    return claims;
  }

  async #read(token: string): Promise<JWTPayload | unknown> {
    const { opaqueTokens, keyRing, issuer } = this.#options;
    return token.includes('.')
      ? keyRing.verify(token, { type: jwtType, issuer: issuer() })
      : opaqueTokens.read(token);
  }

  #nowInSeconds(): number {
    return Math.floor(this.#options.clock().getTime() / 1000);
  }
}
