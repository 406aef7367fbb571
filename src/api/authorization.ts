import type { AccessTokens } from '../application/access-tokens.ts';
import { DpopNonceError, type DpopProofs, InvalidDpopProofError } from '../application/dpop-proofs.ts';
import { KeyturnError } from '../domain/errors.ts';
import { permissionsOf } from '../domain/roles.ts';
import {
  type PresentedAccessToken,
  type PresentedProof,
  readAccessToken,
  verifyAccessToken,
} from './presented-access-token.ts';
import type { RpcService } from './rpc/method.ts';
import type { RequiredPermission } from './rpc/method-options.ts';

/** An authenticated user, and the organization that its request acts in. */
export interface Caller {
  readonly userId: string;
  /** The caller's own organization. */
  readonly homeOrganizationId: string;
  /** From `x-zitadel-orgid`, else the caller's own. */
  readonly organizationId: string;
}

/** What a request says of who sends it; header names and gRPC metadata keys are the same. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly 'x-zitadel-orgid': string | undefined;
  /** With a token that is bound to a key (RFC 9449). */
  readonly proof?: PresentedProof | undefined;
}

/** What the read model knows of users, organizations and memberships. */
export interface AccessDirectory {
  managementProjectId(): string | undefined;
  organizationOfActiveUser(userId: string): string | undefined;
  organizationExists(organizationId: string): boolean;
  /** With the roles that hold in the whole instance. */
  rolesOf(userId: string, organizationId: string): readonly string[];
  rolesInInstance(userId: string): readonly string[];
}

export interface AuthorizerOptions {
  readonly accessTokens: AccessTokens;
  readonly dpop: DpopProofs;
  readonly directory: AccessDirectory;
}

/** Decides who may call what, with ZITADEL's order of checks and its answers. */
export class Authorizer {
  readonly #accessTokens: AccessTokens;
  readonly #dpop: DpopProofs;
  readonly #directory: AccessDirectory;

  constructor({ accessTokens, dpop, directory }: AuthorizerOptions) {
    this.#accessTokens = accessTokens;
    this.#dpop = dpop;
    this.#directory = directory;
  }

  /**
   * @returns the caller, or undefined for a method that needs none
   * @throws KeyturnError `AUTH_HEADER_MISSING`, `AUTH_HEADER_INVALID`, `TOKEN_INVALID`,
   *   `DPOP_PROOF_INVALID`, `DPOP_NONCE_NEEDED`, `ORGANIZATION_UNKNOWN`,
   *   `MEMBERSHIP_NOT_FOUND`, `PERMISSION_MISSING`, in this order
   */
  async authorize(
    required: RequiredPermission,
    credentials: Credentials,
    scope: RpcService['scope'] = 'organization',
  ): Promise<Caller | undefined> {
    if (required.kind === 'none') return undefined;
    const caller = await this.#authenticate(credentials);
    if (required.kind === 'permission') {
      const { userId, organizationId } = caller;
      const roles = this.#directory.rolesOf(userId, organizationId);
      const counting = scope === 'instance' ? this.#directory.rolesInInstance(userId) : roles;
      requirePermission(roles, counting, required.permission);
    }
    return caller;
  }

  /** Whether a role in the instance, and so in every organization, grants the permission. */
  isAllowedEverywhere({ userId }: Caller, permission: string): boolean {
    return permissionsOf(this.#directory.rolesInInstance(userId)).has(permission);
  }

  /**
   * For methods that find out themselves which organization they act in.
   *
   * @throws KeyturnError `MEMBERSHIP_NOT_FOUND`, `PERMISSION_MISSING`
   */
  requirePermissionIn(organizationId: string, { userId }: Caller, permission: string): void {
    const roles = this.#directory.rolesOf(userId, organizationId);
    requirePermission(roles, roles, permission);
  }

  async #authenticate(credentials: Credentials): Promise<Caller> {
    const { authorization, 'x-zitadel-orgid': requestedOrganizationId } = credentials;
    if (!authorization) throw new KeyturnError('AUTH_HEADER_MISSING');
    const presented = readAccessToken(authorization);
    if (presented === undefined) throw new KeyturnError('AUTH_HEADER_INVALID');

    const audience = this.#directory.managementProjectId();
    const claims = await this.#verify(presented, credentials.proof);
    const homeOrganizationId = claims && this.#directory.organizationOfActiveUser(claims.userId);
    const isForThisApi = audience !== undefined && claims?.audience.includes(audience) === true;
    if (claims === undefined || !isForThisApi || homeOrganizationId === undefined) {
      throw new KeyturnError('TOKEN_INVALID');
    }

    const organizationId = requestedOrganizationId || homeOrganizationId;
    if (!this.#directory.organizationExists(organizationId)) throw new KeyturnError('ORGANIZATION_UNKNOWN');
    return { userId: claims.userId, homeOrganizationId, organizationId };
  }

  async #verify(presented: PresentedAccessToken, proof: PresentedProof | undefined) {
    const verifiers = { accessTokens: this.#accessTokens, dpop: this.#dpop };
    try {
      return await verifyAccessToken(presented, proof, verifiers);
    } catch (error) {
      if (error instanceof DpopNonceError) throw new KeyturnError('DPOP_NONCE_NEEDED');
      if (error instanceof InvalidDpopProofError) {
        throw new KeyturnError('DPOP_PROOF_INVALID', { text: error.message });
      }
      throw error;
    }
  }
}

/** @param counting those of the roles whose permissions count */
function requirePermission(roles: readonly string[], counting: readonly string[], permission: string): void {
  if (roles.length === 0) throw new KeyturnError('MEMBERSHIP_NOT_FOUND');
  if (!permissionsOf(counting).has(permission)) throw new KeyturnError('PERMISSION_MISSING');
}
