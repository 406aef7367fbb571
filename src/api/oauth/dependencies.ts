import type { AccessTokens } from '../../application/access-tokens.ts';
import type { DpopProofs } from '../../application/dpop-proofs.ts';
import type { GuardedAuthentication } from '../../application/guarded-authentication.ts';
import type { IdTokens } from '../../application/id-tokens.ts';
import type { SigningKeyRing } from '../../application/signing-key-ring.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';

/** What the read model knows of users, as far as the authorization server speaks of it. */
export interface UserDirectory {
  managementProjectId(): string | undefined;
  machineUserById(userId: string): MachineUserView | undefined;
  organizationName(organizationId: string): string | undefined;
}

export interface OAuthDependencies {
  readonly issuer: () => string;
  readonly authentication: GuardedAuthentication;
  readonly accessTokens: AccessTokens;
  readonly dpop: DpopProofs;
  readonly idTokens: IdTokens;
  readonly keyRing: SigningKeyRing;
  readonly directory: UserDirectory;
}
