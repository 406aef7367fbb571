/**
 * The scopes that a client credentials grant keeps, and the audience that they ask for, by ZITADEL's rules:
 * unknown scopes are dropped silently; scopes that name an organization are kept for the user's own one only;
 * `urn:zitadel:iam:org:project:id:<id>:aud` adds a project to the audience, where `zitadel` stands for the
 * project of the management API.
 */
const knownScopes = new Set([
  'openid',
  'profile',
  'email',
  'phone',
  'address',
  'urn:zitadel:iam:user:metadata',
  'urn:zitadel:iam:user:resourceowner',
  'urn:zitadel:iam:org:projects:roles',
]);
const knownScopePrefixes = ['urn:zitadel:iam:org:roles:id:', 'urn:zitadel:iam:org:project:role:'];
const organizationScopePrefix = 'urn:zitadel:iam:org:id:';
const audienceScope = /^urn:zitadel:iam:org:project:id:([^:]+):aud$/;

/** The scope that a request without one gets (RFC 6749 section 3.3). */
export const defaultScope = 'openid';

export interface GrantedScopes {
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
}

/** @param requested separated by spaces, as in the request */
export function grantScopes(
  requested: string,
  { projectId, organizationId }: { readonly projectId: string; readonly organizationId: string },
): GrantedScopes {
  const scopes = new Set<string>();
  const audience = new Set<string>();
  for (const scope of requested.split(' ')) {
    const project = audienceScope.exec(scope)?.[1];
    if (project !== undefined) audience.add(project === 'zitadel' ? projectId : project);
    if (project !== undefined || isGranted(scope, organizationId)) scopes.add(scope);
  }
  return { scopes: [...scopes], audience: [...audience] };
}

function isGranted(scope: string, organizationId: string): boolean {
  return (
    knownScopes.has(scope) ||
    scope === `${organizationScopePrefix}${organizationId}` ||
    knownScopePrefixes.some((prefix) => scope.startsWith(prefix) && scope.length > prefix.length)
  );
}
