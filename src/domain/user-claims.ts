/** A machine user as tokens and the userinfo endpoint speak of it. */
export interface DescribedUser {
  readonly userName: string;
  readonly name: string;
  /** RFC 3339 */
  readonly changeDate: string;
  readonly organizationId: string;
  /** Asked for only when a scope asks for it. */
  readonly organizationName: () => string;
}

const resourceOwnerScope = 'urn:zitadel:iam:user:resourceowner';
const organizationScopePrefix = 'urn:zitadel:iam:org:id:';

/** The claims about a user's organization that `scopes` ask for, by ZITADEL's names. */
export function organizationClaims(
  { organizationId, organizationName }: Pick<DescribedUser, 'organizationId' | 'organizationName'>,
  scopes: readonly string[],
): Record<string, unknown> {
  const asksForOrganization = scopes.includes(organizationScopePrefix + organizationId);
  if (!asksForOrganization && !scopes.includes(resourceOwnerScope)) return {};
  return {
    ...(asksForOrganization && { 'urn:zitadel:iam:org:id': organizationId }),
    'urn:zitadel:iam:user:resourceowner:id': organizationId,
    'urn:zitadel:iam:user:resourceowner:name': organizationName(),
  };
}

/** All claims about a user that `scopes` ask for: those of `profile` (OpenID Connect Core 1.0 section 5.1) and of its organization. */
export function userClaims(user: DescribedUser, scopes: readonly string[]): Record<string, unknown> {
  const profile = {
    name: user.name,
    preferred_username: user.userName,
    updated_at: Math.floor(Date.parse(user.changeDate) / 1000),
  };
  return { ...(scopes.includes('profile') && profile), ...organizationClaims(user, scopes) };
}
