import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';

/** A user of another organization is as unknown as one that does not exist. Throws KeyturnError `USER_NOT_FOUND`. */
export function userIn(
  directory: { machineUserById(userId: string): MachineUserView | undefined },
  userId: string,
  organizationId: string,
): MachineUserView {
  const user = directory.machineUserById(userId);
  if (user?.organizationId !== organizationId) throw new KeyturnError('USER_NOT_FOUND');
  return user;
}
