import { z } from 'zod';
import { KeyturnError } from './errors.ts';

/** Roles by user id. */
export type Members = ReadonlyMap<string, readonly string[]>;

/** Where somebody is a member: in the whole instance, or in one organization. */
export type MembershipScope = 'instance' | { readonly organizationId: string };

export const noMembers: Members = new Map();

export const memberSchema = z.strictObject({ userId: z.string().min(1), roles: z.array(z.string()).min(1) });
export const memberRemovedSchema = z.strictObject({ userId: z.string().min(1) });

type IsValidRole = (role: string) => boolean;

/** The roles to store: each once, in a stable order. */
export function rolesOfNewMember(
  members: Members,
  userId: string,
  roles: readonly string[],
  isValidRole: IsValidRole,
): string[] {
  const checked = checkedRoles(roles, isValidRole);
  if (members.has(userId)) throw new KeyturnError('MEMBER_ALREADY_EXISTS');
  return checked;
}

export function rolesOfChangedMember(
  members: Members,
  userId: string,
  roles: readonly string[],
  isValidRole: IsValidRole,
): string[] {
  const checked = checkedRoles(roles, isValidRole);
  const current = members.get(userId);
  if (current === undefined) throw new KeyturnError('MEMBER_NOT_FOUND');
  if (current.join() === checked.join()) throw new KeyturnError('MEMBER_NOT_CHANGED');
  return checked;
}

export function requireMember(members: Members, userId: string): void {
  if (!members.has(userId)) throw new KeyturnError('MEMBER_NOT_FOUND');
}

export function withMember(members: Members, userId: string, roles: readonly string[]): Members {
  return new Map(members).set(userId, roles);
}

export function withoutMember(members: Members, userId: string): Members {
  const rest = new Map(members);
  rest.delete(userId);
  return rest;
}

function checkedRoles(roles: readonly string[], isValidRole: IsValidRole): string[] {
  const unique = [...new Set(roles)].sort();
  if (unique.length === 0 || !unique.every(isValidRole)) throw new KeyturnError('MEMBER_ROLES_INVALID');
  return unique;
}
