/**
 * Which permissions each role of a member grants, for the permissions that Keyturn's methods ask for. The names are
 * ZITADEL's (InternalAuthZ.RolePermissionMappings); there, only roles of the instance grant `events.read`, and there is no
 * `webhook.…` and no `user.erase`. Roles of the instance hold in every organization, roles of an organization only in it.
 */
const everythingOnUsers = ['user.read', 'user.write', 'user.delete', 'user.global.read'];
const readUsers = ['user.read', 'user.global.read'];
const everythingOnMembers = ['org.member.read', 'org.member.write', 'org.member.delete'];
const readOrganization = ['org.read', 'org.global.read'];
const ownPolicies = ['policy.read', 'policy.write', 'policy.delete'];
const ownOrganization = [
  ...readOrganization,
  'org.write',
  ...everythingOnMembers,
  ...everythingOnUsers,
  'user.erase',
  'user.credential.write',
  ...ownPolicies,
];
const readSubscriptions = ['events.read', 'webhook.read'];
const readInstance = ['iam.read', 'iam.member.read', 'iam.policy.read', ...readSubscriptions, 'audit.read'];

const instanceRolePermissions = {
  IAM_OWNER: [
    ...readInstance,
    'iam.write',
    'iam.member.write',
    'iam.member.delete',
    'iam.policy.write',
    'iam.policy.delete',
    'org.create',
    'webhook.write',
    ...ownOrganization,
  ],
  IAM_ORG_MANAGER: ['org.create', ...ownOrganization],
  IAM_USER_MANAGER: [...readOrganization, 'org.member.read', 'org.member.delete', ...everythingOnUsers],
  IAM_LOGIN_CLIENT: [
    'iam.read',
    'org.read',
    'org.member.read',
    'user.read',
    'user.write',
    'user.credential.write',
  ],
  IAM_OWNER_VIEWER: [...readInstance, ...readOrganization, 'policy.read', 'org.member.read', ...readUsers],
} as const;

const organizationRolePermissions = {
  ORG_OWNER: [...ownOrganization, ...readSubscriptions, 'webhook.write', 'audit.read'],
  ORG_USER_MANAGER: [...readOrganization, ...everythingOnUsers],
  ORG_OWNER_VIEWER: [
    ...readOrganization,
    'policy.read',
    'org.member.read',
    ...readUsers,
    ...readSubscriptions,
    'audit.read',
  ],
  ORG_USER_PERMISSION_EDITOR: [...readOrganization, 'org.member.read', ...readUsers],
  ORG_PROJECT_PERMISSION_EDITOR: [...readOrganization, 'org.member.read', ...readUsers],
  ORG_SETTINGS_MANAGER: [...readOrganization, 'org.write', ...ownPolicies],
  ORG_PROJECT_CREATOR: readOrganization,
} as const;

const rolePermissions: Readonly<Record<string, readonly string[]>> = {
  ...instanceRolePermissions,
  ...organizationRolePermissions,
};

export const instanceRoles = Object.keys(instanceRolePermissions);
export const organizationRoles = Object.keys(organizationRolePermissions);

export function isInstanceRole(role: string): boolean {
  return Object.hasOwn(instanceRolePermissions, role);
}

export function isOrganizationRole(role: string): boolean {
  return Object.hasOwn(organizationRolePermissions, role);
}

/** The union of what `roles` grant. A role that this Keyturn does not know grants nothing. */
export function permissionsOf(roles: Iterable<string>): Set<string> {
  const permissions = new Set<string>();
  for (const role of roles) {
    if (!Object.hasOwn(rolePermissions, role)) continue;
    for (const permission of rolePermissions[role] ?? []) permissions.add(permission);
  }
  return permissions;
}
