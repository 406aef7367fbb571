import { KeyturnError } from '../../domain/errors.ts';
import type { MachineUserView } from '../../projections/machine-users.ts';
import type { Directory } from '../directory.ts';

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

/** The same where no more than its user name is needed: less for the read model to look up. */
export function userNameIn(
  directory: Pick<Directory, 'machineUserNameById'>,
  userId: string,
  organizationId: string,
): string {
  const user = directory.machineUserNameById(userId);
  if (user?.organizationId !== organizationId) throw new KeyturnError('USER_NOT_FOUND');
  return user.userName;
}
