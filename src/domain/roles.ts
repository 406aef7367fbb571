/**
 * Which permissions each role of a member grants, for the permissions that machine users need.
 * The names are ZITADEL's (InternalAuthZ.RolePermissionMappings), but for `events.read`. Roles of the instance hold in every
 * organization, roles of an organization only in it.
 */
const everythingOnUsers = ['user.read', 'user.write', 'user.delete', 'user.global.read'];
const readUsers = ['user.read', 'user.global.read'];

const instanceRolePermissions = {
  IAM_OWNER: [...everythingOnUsers, 'user.credential.write', 'events.read'],
  IAM_ORG_MANAGER: [...everythingOnUsers, 'user.credential.write'],
  IAM_USER_MANAGER: everythingOnUsers,
  IAM_LOGIN_CLIENT: ['user.read', 'user.write', 'user.credential.write'],
  IAM_OWNER_VIEWER: [...readUsers, 'events.read'],
} as const;

const organizationRolePermissions = {
  ORG_OWNER: [...everythingOnUsers, 'user.credential.write', 'events.read'],
  ORG_USER_MANAGER: everythingOnUsers,
  ORG_OWNER_VIEWER: [...readUsers, 'events.read'],
  ORG_USER_PERMISSION_EDITOR: readUsers,
  ORG_PROJECT_PERMISSION_EDITOR: readUsers,
  ORG_SETTINGS_MANAGER: [],
  ORG_PROJECT_CREATOR: [],
} as const;

const rolePermissions: Readonly<Record<string, readonly string[]>> = {
  ...instanceRolePermissions,
  ...organizationRolePermissions,
};

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
